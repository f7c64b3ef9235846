// One screen as the app shows it, from a snapshot that is made up: `?scene=` says which. Without
// a scene, all of their names. `cargo xtask screens` takes a picture of each.
import "@fontsource-variable/atkinson-hyperlegible-next";
import "../src/design/tokens.css";
import "../src/design/base.css";
import "../src/design/parts.css";
import "../src/design/screens.css";
import "../src/design/call.css";
import "../src/i18n";

import { createRoot } from "react-dom/client";

import { App } from "../src/App";
import { BackendProvider } from "../src/api/context";
import { person } from "./person";
import { scenes, type Scene } from "./scenes";
import { fakeBackend } from "../src/test/fake";

function show(scene: Scene, root: HTMLElement) {
  const { backend } = fakeBackend(scene.snapshot);
  backend.watch = (onSnapshot, onLevels) => {
    onSnapshot(scene.snapshot);
    onLevels({ microphone: 0.55, speaker: 0.4 });
  };
  backend.pictures = (which, _raw, onMessage) => {
    onMessage(person(which));
  };
  createRoot(root).render(
    <BackendProvider backend={backend}>
      <App />
    </BackendProvider>,
  );
  const press = [...(scene.press ?? [])];
  const next = () => {
    const what = press[0];
    if (what === undefined) return;
    const there = document.querySelector<HTMLElement>(what);
    if (there) {
      press.shift();
      there.click();
    }
    requestAnimationFrame(next);
  };
  requestAnimationFrame(next);
}

const root = document.getElementById("root");
const name = new URLSearchParams(location.search).get("scene");
const scene = name === null ? undefined : scenes[name];
if (root && scene) show(scene, root);
else if (root) root.textContent = Object.keys(scenes).join("\n");
