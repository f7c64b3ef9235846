import type { Backend } from "../api/backend";
import type { Pictures } from "../api/bindings";

const HEADER = 16;
/** Encoded frames drawn after which the core hears of it: each word to it costs as much as a frame. */
const ACKNOWLEDGE_EVERY = 2;
/** Frames waiting to be decoded from which the next key frame is waited for. */
const BEHIND = 8;
/** A picture is held no longer than this until its words are heard, in milliseconds. */
const LONGEST_WAIT = 1000;

interface Message {
  encoded: boolean;
  key: boolean;
  width: number;
  height: number;
  sequence: number;
  /** When it is to be drawn: milliseconds since 1970, the lower 32 bits; 0 for at once. */
  drawAt: number;
  data: Uint8Array<ArrayBuffer>;
}

/** Takes a message of the core apart: see `feed.rs` for its header. */
export function parse(message: ArrayBuffer): Message {
  const view = new DataView(message);
  return {
    encoded: view.getUint8(0) === 0,
    key: view.getUint8(1) === 1,
    width: view.getUint16(2, true),
    height: view.getUint16(4, true),
    sequence: view.getUint32(8, true),
    drawAt: view.getUint32(12, true),
    data: new Uint8Array(message, HEADER),
  };
}

const CODEC: VideoDecoderConfig = { codec: "vp8", optimizeForLatency: true };

let support: Promise<boolean> | null = null;

/** Whether this page can decode what is sent; without it the core decodes. */
function decodes(): Promise<boolean> {
  support ??= (async () => {
    if (!("VideoDecoder" in globalThis)) return false;
    const answer = await VideoDecoder.isConfigSupported(CODEC).catch(() => null);
    return answer?.supported === true;
  })();
  return support;
}

/**
 * Makes the webview load its codecs before anybody waits for a picture: the first decoder of a
 * process costs WebKitGTK over half a second.
 */
export async function prepare(): Promise<void> {
  if (!(await decodes())) return;
  const ignore = () => undefined;
  const decoder = new VideoDecoder({ output: ignore, error: ignore });
  decoder.configure(CODEC);
  await decoder.flush().catch(ignore);
  if (decoder.state !== "closed") decoder.close();
}

/** How long until then, in milliseconds; a clock that was set holds nothing back for long. */
export function waitUntil(drawAt: number, now: number): number {
  // The difference of two 32-bit numbers that wrap round, with its sign.
  const wait = drawAt === 0 ? 0 : (drawAt - now) | 0;
  return wait > LONGEST_WAIT ? 0 : Math.max(wait, 0);
}

/** One stream of pictures onto one canvas. */
export class PictureStream {
  private readonly backend: Backend;
  private readonly which: Pictures;
  private readonly canvas: HTMLCanvasElement;
  private readonly context: CanvasRenderingContext2D | null;
  private decoder: VideoDecoder | null = null;
  private waitsForKey = true;
  private closed = false;
  private acknowledged = 0;
  /** When the frames that are being decoded are to be drawn, by their number. */
  private readonly drawAt = new Map<number, number>();
  /** Decoded, and held until then. */
  private readonly held: VideoFrame[] = [];
  /** Of the stream's last key frame: WebKit's frames keep saying the size of its first. */
  private size = { width: 0, height: 0 };

  constructor(backend: Backend, which: Pictures, canvas: HTMLCanvasElement) {
    this.backend = backend;
    this.which = which;
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    void decodes().then((can) => {
      if (this.closed) return;
      backend.pictures(which, !can, (message) => {
        this.take(message);
      });
    });
  }

  close(): void {
    this.closed = true;
    for (const frame of this.held.splice(0)) frame.close();
    if (this.decoder?.state !== "closed") this.decoder?.close();
  }

  private take(bytes: ArrayBuffer): void {
    if (this.closed) return;
    const message = parse(bytes);
    if (message.encoded) {
      this.decode(message);
    } else {
      this.size = { width: message.width, height: message.height };
      this.draw(rawFrame(message));
      this.backend.acknowledge(this.which, message.sequence);
    }
  }

  /** An encoded frame was drawn, or will not be. */
  private done(sequence: number): void {
    if (sequence - this.acknowledged >= ACKNOWLEDGE_EVERY) {
      this.acknowledged = sequence;
      this.backend.acknowledge(this.which, sequence);
    }
  }

  private decode(message: Message): void {
    if (this.decoder && this.decoder.decodeQueueSize > BEHIND) this.lost();
    if (this.waitsForKey && !message.key) {
      this.done(message.sequence);
      return;
    }
    if (this.decoder?.state !== "configured") {
      this.decoder = new VideoDecoder({
        output: (frame) => {
          this.hold(frame);
        },
        error: () => {
          this.decoder = null;
          this.lost();
        },
      });
      this.decoder.configure(CODEC);
    }
    this.waitsForKey = false;
    this.drawAt.set(message.sequence, message.drawAt);
    if (message.key) this.size = { width: message.width, height: message.height };
    this.decoder.decode(
      new EncodedVideoChunk({
        type: message.key ? "key" : "delta",
        timestamp: message.sequence,
        data: message.data,
      }),
    );
  }

  /** Draws a frame when what was said with it is heard: after those before it. */
  private hold(frame: VideoFrame): void {
    const drawAt = this.drawAt.get(frame.timestamp) ?? 0;
    // What came before and gave no frame is not waited for.
    for (const sequence of this.drawAt.keys()) {
      if (sequence <= frame.timestamp) this.drawAt.delete(sequence);
    }
    const wait = waitUntil(drawAt, Date.now());
    this.held.push(frame);
    const draw = () => {
      // Those before it are due as well.
      while (this.held.includes(frame)) {
        const next = this.held.shift();
        if (!next) return;
        const sequence = next.timestamp;
        this.draw(next);
        this.done(sequence);
      }
    };
    if (wait > 0) setTimeout(draw, wait);
    else draw();
  }

  private lost(): void {
    if (this.closed || this.waitsForKey) return;
    this.waitsForKey = true;
    this.backend.decoderLost(this.which);
  }

  private draw(frame: VideoFrame | ImageData): void {
    const { width, height } = this.size;
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
