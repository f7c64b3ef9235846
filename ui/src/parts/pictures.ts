import type { Backend } from "../api/backend";
import type { DecodableCodec, Pictures } from "../api/bindings";
import { pictureDrawn, withNextPicture, withoutPicture } from "./beat";

const HEADER = 16;
/** Encoded frames taken after which the core hears of it: each word to it costs as much as a frame. */
const ACKNOWLEDGE_EVERY = 2;
/** Frames waiting to be decoded from which the next key frame is waited for. */
const BEHIND = 8;
/** A picture is held no longer than this until its words are heard, in milliseconds. */
const LONGEST_WAIT = 1000;
/**
 * A picture is drawn this much before its time, in milliseconds: half of what a screen of 60 Hz takes
 * until it shows the next, so that on the average it is seen when it is due.
 */
const EARLY = 8;

interface Message extends Size {
  /** What it is encoded in; null of a raw picture. */
  codec: DecodableCodec | null;
  key: boolean;
  sequence: number;
  /** When it is to be drawn: milliseconds since 1970, the lower 32 bits; 0 for at once. */
  drawAt: number;
  data: Uint8Array<ArrayBuffer>;
}

/** What the first byte of a message says; a raw picture is 1. */
const KINDS: Partial<Record<number, DecodableCodec>> = { 0: "vp8", 2: "h264" };

/** Takes a message of the core apart: see `frame_channel.rs` for its header. */
export function parse(message: ArrayBuffer): Message {
  const view = new DataView(message);
  return {
    codec: KINDS[view.getUint8(0)] ?? null,
    key: view.getUint8(1) === 1,
    width: view.getUint16(2, true),
    height: view.getUint16(4, true),
    sequence: view.getUint32(8, true),
    drawAt: view.getUint32(12, true),
    data: new Uint8Array(message, HEADER),
  };
}

/** H.264 without a description comes as a byte stream, parameter sets with each key frame. */
const CONFIGS: Record<DecodableCodec, VideoDecoderConfig> = {
  h264: { codec: "avc1.42E01F", optimizeForLatency: true },
  vp8: { codec: "vp8", optimizeForLatency: true },
};

let decodable: Promise<DecodableCodec[]> | null = null;

/** What this page can decode, the best first. Where VP8 is not among it, the core decodes. */
export function decodes(): Promise<DecodableCodec[]> {
  decodable ??= (async () => {
    if (!("VideoDecoder" in globalThis)) return [];
    const codecs: DecodableCodec[] = [];
    for (const codec of ["h264", "vp8"] as const) {
      const answer = await VideoDecoder.isConfigSupported(CONFIGS[codec]).catch(() => null);
      if (answer?.supported) codecs.push(codec);
    }
    return codecs;
  })();
  return decodable;
}

/**
 * Says what this page can decode, and makes the webview load its codecs before anybody waits for a
 * picture: the first decoder of a process costs WebKitGTK over half a second.
 */
export async function prepare(backend: Backend): Promise<void> {
  const ignore = () => undefined;
  const codecs = await decodes();
  backend.ask({ ask: "decodes", codecs });
  for (const codec of codecs) {
    const decoder = new VideoDecoder({ output: ignore, error: ignore });
    decoder.configure(CONFIGS[codec]);
    await decoder.flush().catch(ignore);
    if (decoder.state !== "closed") decoder.close();
  }
}

/** How long until then, in milliseconds; a clock that was set holds nothing back for long. */
export function waitUntil(drawAt: number, now: number): number {
  // The difference of two 32-bit numbers that wrap round, with its sign.
  const wait = drawAt === 0 ? 0 : (drawAt - now) | 0;
  return wait > LONGEST_WAIT ? 0 : Math.max(wait, 0);
}

interface Size {
  width: number;
  height: number;
}

/** A decoded frame, and its size as its message says it. */
interface Decoded extends Size {
  frame: VideoFrame;
}

/** A decoded picture, and when it is to be drawn, by the page's own clock: nobody sets that. */
export interface Held<Picture> {
  picture: Picture;
  drawAt: number;
}

/**
 * Takes what is due from the front of what is held: the newest of it is to be drawn, the others are
 * late, and nobody would see them.
 */
export function takeDue<Picture>(
  held: Held<Picture>[],
  now: number,
): { newest: Picture; late: Picture[] } | null {
  // Those before one that is due are due as well.
  const count = held.findLastIndex(({ drawAt }) => drawAt <= now) + 1;
  const late = held.splice(0, count).map(({ picture }) => picture);
  const newest = late.pop();
  return newest === undefined ? null : { newest, late };
}

/** One stream of pictures onto one canvas. */
export class PictureStream {
  private readonly backend: Backend;
  private readonly which: Pictures;
  private readonly canvas: HTMLCanvasElement;
  private readonly context: CanvasRenderingContext2D | null;
  private decoder: VideoDecoder | null = null;
  /** What the decoder is for: WebKit's frames keep saying the size of its first, and are drawn by it. */
  private decodes: (Size & { codec: DecodableCodec }) | null = null;
  private waitsForKey = true;
  private closed = false;
  private acknowledged = 0;
  /** Pictures that were not drawn, or not even decoded, since the core was told last. */
  private late = 0;
  /** The number of the newest picture that was decoded. */
  private newest = 0;
  /** What the frames that are being decoded came with, by their number. */
  private readonly expected = new Map<number, Message>();
  /** Decoded, and held until they are to be drawn. */
  private readonly held: Held<Decoded>[] = [];
  /** Ends the wait for the next to be due. */
  private cancelWait: (() => void) | null = null;
  /** The newest raw picture, until it is drawn. */
  private raw: Message | null = null;

  constructor(backend: Backend, which: Pictures, canvas: HTMLCanvasElement) {
    this.backend = backend;
    this.which = which;
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    document.addEventListener("visibilitychange", this.wait);
    void decodes().then((codecs) => {
      if (this.closed) return;
      backend.pictures(which, !codecs.includes("vp8"), (message) => {
        this.take(message);
      });
    });
  }

  close(): void {
    this.closed = true;
    document.removeEventListener("visibilitychange", this.wait);
    this.cancelWait?.();
    withoutPicture(this.showRaw);
    for (const { picture } of this.held.splice(0)) picture.frame.close();
    if (this.decoder?.state !== "closed") this.decoder?.close();
  }

  private take(bytes: ArrayBuffer): void {
    if (this.closed) return;
    const message = parse(bytes);
    if (message.codec) {
      this.decode(message, message.codec);
    } else if (this.which === "own") {
      this.raw = message;
      withNextPicture(this.showRaw);
    } else {
      this.raw = message;
      this.showRaw();
      pictureDrawn();
    }
  }

  private readonly showRaw = (): void => {
    const message = this.raw;
    if (this.closed || !message) return;
    this.raw = null;
    this.draw(rawFrame(message), message);
    this.backend.acknowledge(this.which, message.sequence, 0);
  };

  /** An encoded frame was drawn, or will not be. */
  private done(sequence: number): void {
    if (sequence - this.acknowledged >= ACKNOWLEDGE_EVERY) {
      this.acknowledged = sequence;
      this.backend.acknowledge(this.which, sequence, this.late);
      this.late = 0;
    }
  }

  private decode(message: Message, codec: DecodableCodec): void {
    if (this.decoder && this.decoder.decodeQueueSize > BEHIND) this.lost();
    if (this.waitsForKey && !message.key) {
      this.late += 1;
      this.done(message.sequence);
      return;
    }
    if (message.key && this.decoder && !this.isFor(message, codec)) {
      // Another size or codec, which begins with a key frame. What is still being decoded comes before it.
      const before = this.decoder;
      this.decoder = null;
      before
        .flush()
        .catch(() => undefined)
        .finally(() => {
          if (before.state !== "closed") before.close();
        });
    }
    if (this.decoder?.state !== "configured") {
      this.decodes = { codec, width: message.width, height: message.height };
      const decoder = new VideoDecoder({
        output: (frame) => {
          this.hold(frame);
        },
        error: () => {
          // One that was replaced meanwhile takes nothing with it.
          if (this.decoder !== decoder) return;
          this.decoder = null;
          this.lost();
        },
      });
      this.decoder = decoder;
      this.decoder.configure(CONFIGS[codec]);
    }
    this.waitsForKey = false;
    this.expected.set(message.sequence, message);
    this.decoder.decode(
      new EncodedVideoChunk({
        type: message.key ? "key" : "delta",
        timestamp: message.sequence,
        data: message.data,
      }),
    );
  }

  private isFor({ width, height }: Message, codec: DecodableCodec): boolean {
    const { decodes } = this;
    return decodes?.codec === codec && decodes.width === width && decodes.height === height;
  }

  /** Keeps a frame until what was said with it is heard. */
  private hold(frame: VideoFrame): void {
    // Of a decoder that had fallen behind the one after it, or of a stream that has ended.
    if (this.closed || frame.timestamp < this.newest) {
      frame.close();
      return;
    }
    this.newest = frame.timestamp;
    const message = this.expected.get(frame.timestamp);
    // What came before and gave no frame is not waited for.
    for (const sequence of this.expected.keys()) {
      if (sequence <= frame.timestamp) this.expected.delete(sequence);
    }
    if (!message) {
      frame.close();
      return;
    }
    const { drawAt, width, height } = message;
    const picture = { frame, width, height };
    this.held.push({ picture, drawAt: performance.now() + waitUntil(drawAt, Date.now()) });
    this.wait();
  }

  /** Draws the next picture with the screen's own beat: a page that is late draws fewer, not later ones. */
  private readonly wait = (): void => {
    this.cancelWait?.();
    this.cancelWait = null;
    const next = this.held[0];
    if (!next) return;
    // Out of sight there is no beat, and timers are slow: the newest is kept for when it is seen again.
    if (document.visibilityState === "hidden") {
      this.skip(this.held.splice(0, this.held.length - 1).map(({ picture }) => picture));
      this.done(this.held[0]?.picture.frame.timestamp ?? 0);
      return;
    }
    const atBeat = () => {
      const beat = requestAnimationFrame(this.show);
      this.cancelWait = () => {
        cancelAnimationFrame(beat);
      };
    };
    const wait = next.drawAt - EARLY - performance.now();
    if (wait <= 0) {
      atBeat();
      return;
    }
    const timer = setTimeout(atBeat, wait);
    this.cancelWait = () => {
      clearTimeout(timer);
    };
  };

  private readonly show = (): void => {
    const due = takeDue(this.held, performance.now() + EARLY);
    if (due) {
      this.late += due.late.length;
      this.skip(due.late);
      const sequence = due.newest.frame.timestamp;
      this.draw(due.newest.frame, due.newest);
      this.done(sequence);
      pictureDrawn();
    }
    this.wait();
  };

  private skip(pictures: Decoded[]): void {
    for (const { frame } of pictures) frame.close();
  }

  private lost(): void {
    if (this.closed || this.waitsForKey) return;
    this.waitsForKey = true;
    this.backend.decoderLost(this.which);
  }

  private draw(frame: VideoFrame | ImageData, { width, height }: Size): void {
    // The canvas has the picture's own size; CSS fits it into the window.
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    if ("displayWidth" in frame) {
      if (!this.closed) this.context?.drawImage(frame, 0, 0, width, height);
      frame.close();
    } else {
      this.context?.putImageData(frame, 0, 0);
    }
  }
}

/** A raw I420 picture as something that can be drawn. */
function rawFrame({ width, height, data }: Message): VideoFrame | ImageData {
  if ("VideoFrame" in globalThis) {
    return new VideoFrame(data, {
      format: "I420",
      codedWidth: width,
      codedHeight: height,
      timestamp: 0,
    });
  }
  return toRgba(data, width, height);
}

/** I420 (BT.601, limited range) to RGBA, for webviews without WebCodecs. */
export function toRgba(i420: Uint8Array, width: number, height: number): ImageData {
  const out = new Uint8ClampedArray(width * height * 4);
  const at = (index: number) => i420[index] ?? 0;
  const u0 = width * height;
  const v0 = u0 + u0 / 4;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const c = 1.164 * (at(y * width + x) - 16);
      const chroma = (y >> 1) * (width >> 1) + (x >> 1);
      const u = at(u0 + chroma) - 128;
      const v = at(v0 + chroma) - 128;
      const o = (y * width + x) * 4;
      out[o] = c + 1.596 * v;
      out[o + 1] = c - 0.392 * u - 0.813 * v;
      out[o + 2] = c + 2.017 * u;
      out[o + 3] = 255;
    }
  }
  return new ImageData(out, width, height);
}
