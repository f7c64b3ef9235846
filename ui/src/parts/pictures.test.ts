import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { fakeBackend, snapshot } from "../test/fake";
import { parse, PictureStream, takeDue, waitUntil } from "./pictures";

describe("a picture's message", () => {
  it("is taken apart as the core puts it together", () => {
    const bytes = new Uint8Array(19);
    bytes.set([0, 1, 0x80, 0x02, 0x68, 0x01, 0, 0, 7, 0, 0, 0, 9, 1, 0, 0, 1, 2, 3]);
    const message = parse(bytes.buffer);
    expect(message).toMatchObject({
      codec: "vp8",
      key: true,
      width: 640,
      height: 360,
      sequence: 7,
      drawAt: 265,
    });
    expect([...message.data]).toEqual([1, 2, 3]);
  });
  it("says what it is encoded in", () => {
    const codecs = [0, 1, 2].map(
      (kind) => parse(new Uint8Array([kind, ...Array<number>(15)]).buffer).codec,
    );
    expect(codecs).toEqual(["vp8", null, "h264"]);
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

describe("of what is due", () => {
  const held = () => [10, 20, 30, 40].map((drawAt) => ({ picture: `at ${drawAt}`, drawAt }));
  it("the newest is drawn, those before it are late", () => {
    const waiting = held();
    expect(takeDue(waiting, 30)).toEqual({ newest: "at 30", late: ["at 10", "at 20"] });
    expect(waiting).toEqual([{ picture: "at 40", drawAt: 40 }]);
  });
  it("nothing is taken before its time", () => {
    const waiting = held();
    expect(takeDue(waiting, 9)).toBeNull();
    expect(waiting).toHaveLength(4);
  });
});

describe("a stream of pictures", () => {
  /** A decoder that gives what it is told to, when it is. */
  class FakeDecoder {
    static isConfigSupported = () => Promise.resolve({ supported: true });
    static last: FakeDecoder;
    state = "unconfigured";
    decodeQueueSize = 0;
    private readonly output: (frame: unknown) => void;
    constructor({ output }: { output: (frame: unknown) => void }) {
      this.output = output;
      FakeDecoder.last = this;
    }
    readonly configs: string[] = [];
    flush() {
      return Promise.resolve();
    }
    configure({ codec }: { codec: string }) {
      this.state = "configured";
      this.configs.push(codec);
    }
    decode() {
      this.decodeQueueSize = 0;
    }
    close() {
      this.state = "closed";
    }
    gives(sequence: number) {
      this.output({
        timestamp: sequence,
        displayWidth: 640,
        close: () => closed.push(sequence),
      });
    }
  }

  let closed: number[] = [];
  let drawn: number[] = [];
  let sizes: number[][] = [];
  let beats: (() => void)[] = [];
  let visibility = "visible";
  const beat = () => {
    beats.splice(0).forEach((draw) => {
      draw();
    });
  };

  beforeEach(() => {
    [closed, drawn, sizes, beats, visibility] = [[], [], [], [], "visible"];
    vi.stubGlobal("VideoDecoder", FakeDecoder);
    vi.stubGlobal("EncodedVideoChunk", Object);
    vi.stubGlobal("requestAnimationFrame", (draw: () => void) => beats.push(draw));
    vi.stubGlobal("cancelAnimationFrame", () => beats.splice(0));
    vi.spyOn(document, "visibilityState", "get").mockImplementation(
      () => visibility as DocumentVisibilityState,
    );
  });
  afterEach(() => {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  });

  async function stream() {
    const canvas = document.createElement("canvas");
    vi.spyOn(canvas, "getContext").mockReturnValue({
      drawImage: (frame: { timestamp: number }, _x: number, _y: number, ...size: number[]) => {
        drawn.push(frame.timestamp);
        sizes.push(size);
      },
    } as never);
    const { backend } = fakeBackend(snapshot);
    const acknowledged: [number, number][] = [];
    let tell: (message: ArrayBuffer) => void = () => undefined;
    const pictures = new PictureStream(
      {
        ...backend,
        acknowledge: (_, sequence, late) => acknowledged.push([sequence, late]),
        pictures: (_, __, onMessage) => {
          tell = onMessage;
        },
      },
      "remote",
      canvas,
    );
    await vi.waitFor(() => {
      tell(message(1));
      expect(FakeDecoder.last.state).toBe("configured");
    });
    for (let sequence = 2; sequence <= 9; sequence++) tell(message(sequence));
    const give = (bytes: ArrayBuffer) => {
      tell(bytes);
    };
    return { pictures, acknowledged, decoder: FakeDecoder.last, give };
  }

  /** A frame to be drawn at once. */
  function message(sequence: number, kind = 0): ArrayBuffer {
    const bytes = new Uint8Array(17);
    bytes.set([kind, 1, 0x80, 0x02, 0x68, 0x01, 0, 0, sequence]);
    return bytes.buffer;
  }

  it("draws one at each beat of the screen, the newest, and says how many were late", async () => {
    const { decoder, acknowledged } = await stream();
    for (const sequence of [1, 2, 3, 4]) decoder.gives(sequence);
    expect(drawn).toEqual([]);
    beat();
    expect(drawn).toEqual([4]);
    expect(closed).toEqual([1, 2, 3, 4]);
    decoder.gives(5);
    decoder.gives(6);
    beat();
    expect(drawn).toEqual([4, 6]);
    expect(acknowledged).toEqual([
      [4, 3],
      [6, 1],
    ]);
  });

  it("keeps the newest while nobody sees it, and takes what comes", async () => {
    const { decoder, acknowledged } = await stream();
    visibility = "hidden";
    for (const sequence of [1, 2, 3, 4]) decoder.gives(sequence);
    expect([drawn, closed]).toEqual([[], [1, 2, 3]]);
    expect(acknowledged.at(-1)).toEqual([4, 0]);
    visibility = "visible";
    document.dispatchEvent(new Event("visibilitychange"));
    beat();
    expect(drawn).toEqual([4]);
  });

  it("follows the other end from one codec to another", async () => {
    const { decoder, give } = await stream();
    for (const [sequence, kind] of [
      [10, 2],
      [11, 2],
      [12, 0],
    ] as const)
      give(message(sequence, kind));
    // What the one before it still gives comes before it, and no more once that has given something.
    expect([decoder.configs, FakeDecoder.last.configs]).toEqual([["vp8"], ["vp8"]]);
    decoder.gives(9);
    FakeDecoder.last.gives(12);
    decoder.gives(9);
    beat();
    expect([drawn, closed]).toEqual([[12], [9, 9, 12]]);
    await vi.waitFor(() => {
      expect(decoder.state).toBe("closed");
    });
  });

  it("decodes another size anew", async () => {
    const { decoder, give } = await stream();
    const small = new Uint8Array(17);
    small.set([0, 1, 0x40, 0x01, 0xb4, 0, 0, 0, 10]);
    give(small.buffer);
    expect(FakeDecoder.last).not.toBe(decoder);
    FakeDecoder.last.gives(10);
    beat();
    expect(drawn).toEqual([10]);
    expect(sizes).toEqual([[320, 180]]);
  });

  it("lets go of what it holds when it ends", async () => {
    const { decoder, pictures } = await stream();
    decoder.gives(1);
    pictures.close();
    beat();
    expect([drawn, closed]).toEqual([[], [1]]);
  });
});
