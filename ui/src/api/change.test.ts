import { describe, expect, it } from "vitest";

import { snapshot, visit } from "../test/fake";
import { withChange } from "./change";

describe("a change of the state", () => {
  it("leaves what it does not name", () => {
    const now = withChange(snapshot, { busy: true, visit: { elapsedSeconds: 66 } });
    expect(now).toEqual({ ...snapshot, busy: true, visit: { ...visit, elapsedSeconds: 66 } });
    expect(now.visit?.chat).toBe(snapshot.visit?.chat);
  });
  it("begins and ends a visit", () => {
    const before = withChange(snapshot, { visit: null });
    expect(before.visit).toBeNull();
    expect(withChange(before, { visit }).visit).toEqual(visit);
    expect(withChange(snapshot, { busy: true }).visit).toBe(snapshot.visit);
  });
});
