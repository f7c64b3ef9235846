import "@fontsource-variable/atkinson-hyperlegible-next";
import "./design/tokens.css";
import "./design/base.css";
import "./design/parts.css";
import "./design/screens.css";
import "./design/call.css";
import "./i18n";

import { StrictMode } from "react";
import { createRoot } from "react-dom/client";

import { App } from "./App";
import { tauriBackend } from "./api/tauri";
import { BackendProvider } from "./api/context";
import { prepare } from "./parts/pictures";

const backend = tauriBackend();
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <BackendProvider backend={backend}>
        <App />
      </BackendProvider>
    </StrictMode>,
  );
  // After the first screen is there: nobody is in a call yet.
  setTimeout(() => void prepare(backend), 1_000);
}
