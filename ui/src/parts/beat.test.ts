import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { pictureDrawn, withNextPicture, withoutPicture } from "./beat";

describe("what may wait a moment", () => {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: ["setTimeout", "clearTimeout", "requestAnimationFrame", "cancelAnimationFrame"],
    });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it("changes with the next picture, once", () => {
    const change = vi.fn();
    withNextPicture(change);
    withNextPicture(change);
    expect(change).not.toHaveBeenCalled();
    pictureDrawn();
    expect(change).toHaveBeenCalledTimes(1);
    pictureDrawn();
    vi.advanceTimersByTime(500);
    expect(change).toHaveBeenCalledTimes(1);
  });

  it("changes by itself where no picture comes", () => {
    const change = vi.fn();
    withNextPicture(change);
    vi.advanceTimersByTime(100);
    expect(change).toHaveBeenCalledTimes(1);
    withNextPicture(change);
    vi.advanceTimersByTime(100);
    expect(change).toHaveBeenCalledTimes(2);
  });

  it("is left out when it is taken back", () => {
    const change = vi.fn();
    withNextPicture(change);
    withoutPicture(change);
    vi.advanceTimersByTime(100);
    expect(change).not.toHaveBeenCalled();
  });
});
