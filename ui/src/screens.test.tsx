import "./i18n";

import { render } from "@testing-library/react";
import { describe, expect, it } from "vitest";

import { scenes } from "../gallery/scenes";
import { App } from "./App";
import { BackendProvider } from "./api/context";
import { expectNoAxeViolations } from "./test/axe";
import { fakeBackend } from "./test/fake";

describe("every screen in every state", () => {
  it.each(Object.entries(scenes))("%s", async (_, { snapshot }) => {
    const { container } = render(
      <BackendProvider backend={fakeBackend(snapshot).backend}>
        <App />
      </BackendProvider>,
    );
    // Somebody who can't see the screen finds where they are, and words for it.
    expect(container.querySelector("main")).toBeInTheDocument();
    expect(container.textContent.trim()).not.toBe("");
    await expectNoAxeViolations(container);
  });
});
