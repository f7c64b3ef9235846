import { describe, expect, it } from "vitest";

import { parse, waitUntil } from "./pictures";

describe("a picture's message", () => {
  it("is taken apart as the core puts it together", () => {
    const bytes = new Uint8Array(19);
    bytes.set([0, 1, 0x80, 0x02, 0x68, 0x01, 0, 0, 7, 0, 0, 0, 9, 1, 0, 0, 1, 2, 3]);
    const message = parse(bytes.buffer);
    expect(message).toMatchObject({
      encoded: true,
      key: true,
      width: 640,
      height: 360,
      sequence: 7,
      drawAt: 265,
    });
    expect([...message.data]).toEqual([1, 2, 3]);
  });
});

describe("when a picture is drawn", () => {
  const now = Date.UTC(2026, 0, 30, 14, 30);
  it("is by the lower half of the time", () => {
    expect(waitUntil((now + 120) >>> 0, now)).toBe(120);
    expect(waitUntil((now - 20) >>> 0, now)).toBe(0);
  });
  it("is at once where nobody knows, or where a clock was set", () => {
    expect(waitUntil(0, now)).toBe(0);
    expect(waitUntil((now + 90_000) >>> 0, now)).toBe(0);
  });
});
