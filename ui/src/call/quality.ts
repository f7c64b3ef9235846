import type { CallState } from "../api/bindings";

/** Fewest pictures a second that movement can be judged by. */
export const FEW_PICTURES = 15;
/** Share of made-up sound from which words are lost, percent. */
const GAPS = 5;

/** Pictures come, but too few to judge movement by. */
export function isSlow({ remoteCamera, quality }: CallState): boolean {
  return remoteCamera && quality.width > 0 && quality.fps < FEW_PICTURES;
}

/** Words may be missing. */
export function hasSoundGaps({ remoteMicrophone, quality }: CallState): boolean {
  return remoteMicrophone && quality.concealedPercent > GAPS;
}

/** Nothing is left for one's own picture: what was measured says that none is sent. */
export function sendsOnlySound({ quality }: CallState): boolean {
  return quality.sending === null && quality.bitsPerSecond > 0;
}

/** Whether the quality is worth a sentence. */
export function isWeak(call: CallState): boolean {
  return isSlow(call) || hasSoundGaps(call);
}
