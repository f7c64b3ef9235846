import axe from "axe-core";
import { expect } from "vitest";

/** Fails with one readable line per violation. */
export async function expectNoAxeViolations(root: Element = document.body): Promise<void> {
  const { violations } = await axe.run(root, {
    rules: {
      // jsdom has no layout, so contrast cannot be measured here.
      "color-contrast": { enabled: false },
      // A component under test is not a page and has no landmarks.
      region: { enabled: false },
    },
  });
  expect(
    violations.map((v) => `${v.id}: ${v.help} (${v.nodes.map((n) => n.html).join(" | ")})`),
    "axe violations",
  ).toEqual([]);
}
