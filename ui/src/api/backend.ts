import type { Command, AttachmentId, Pictures, Snapshot } from "./bindings";

/** Loudness as meters show it, 0 to 1. */
export interface Levels {
  microphone: number;
  speaker: number;
}

/** The Rust core, as the page sees it. Tests give a fake one. */
export interface Backend {
  /** Asks for something; what comes of it is in the next snapshot. */
  ask(ask: Command): void;
  /** Tells of every state and of loudness. */
  watch(onSnapshot: (snapshot: Snapshot) => void, onLevels: (levels: Levels) => void): void;
  /** Whether a meter is shown: loudness is told only then. */
  meters(on: boolean): void;
  /** Gives pictures: `raw` where this page can't decode. */
  pictures(which: Pictures, raw: boolean, onMessage: (message: ArrayBuffer) => void): void;
  /** Every picture up to `sequence` was taken; so many of them came too late to be drawn. */
  acknowledge(which: Pictures, sequence: number, late: number): void;
  /** The decoder lost its way. */
  decoderLost(which: Pictures): void;
  /** Sends a file to the chat. */
  sendFile(name: string, bytes: Uint8Array): void;
  /** Fetches a file of the chat. */
  fetchFile(attachment: AttachmentId): Promise<ArrayBuffer>;
}
