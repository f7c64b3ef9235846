import { describe, expect, it } from "vitest";

import { parse } from "./pictures";

describe("a picture's message", () => {
  it("is taken apart as the core puts it together", () => {
    const bytes = new Uint8Array(19);
    bytes.set([0, 1, 0x80, 0x02, 0x68, 0x01, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3]);
    const message = parse(bytes.buffer);
    expect(message).toMatchObject({
      encoded: true,
      key: true,
      width: 640,
      height: 360,
      sequence: 7,
    });
    expect([...message.data]).toEqual([1, 2, 3]);
  });
});
