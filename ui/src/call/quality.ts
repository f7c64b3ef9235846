import type { CallState, Track } from "../api/bindings";

/** Fewest pictures a second that movement can be judged by. A camera whose machine can sends fifteen and more, of
 * which a busy window misses one now and then. */
export const FEW_PICTURES = 12;
/** Share of ten seconds in which the picture may stand still before it is said, percent. */
const FROZEN = 5;
/** From when on a picture is greyed, and said to be old, milliseconds. */
const OLD = 2_000;
/** Share of what one sends that may be lost on the way before it is said, percent. */
const LOST_THERE = 8;
/** Share of made-up sound from which words are lost, percent. */
const GAPS = 5;

/** Whether the other side sends this, as it says. */
export function sends({ participants }: CallState, track: Track): boolean {
  return participants.some(({ tracks }) => tracks.includes(track));
}

/** Pictures come, but too few to judge movement by. */
export function isSlow(call: CallState): boolean {
  const { quality } = call;
  return sends(call, "camera") && quality.width > 0 && quality.fps < FEW_PICTURES;
}

/** The picture stands still again and again. */
export function isFrozen(call: CallState): boolean {
  const { quality } = call;
  return sends(call, "camera") && quality.width > 0 && quality.frozenPercent > FROZEN;
}

/** The picture that is seen is from some time ago: how many seconds; none where it is not. */
export function secondsOld(call: CallState): number | null {
  const age = call.quality.pictureAgeMs;
  return sends(call, "camera") && age !== null && age >= OLD ? Math.round(age / 1_000) : null;
}

/** The other side may miss words: much of what one sends does not arrive. */
export function isLostThere({ quality }: CallState): boolean {
  return quality.lostTherePercent > LOST_THERE;
}

/** Words may be missing. */
export function hasSoundGaps(call: CallState): boolean {
  return sends(call, "microphone") && call.quality.concealedPercent > GAPS;
}

/** Nothing is left for one's own picture: what was measured says that none is sent. */
export function sendsOnlySound({ quality }: CallState): boolean {
  return quality.sending === null && quality.bitsPerSecond > 0;
}

/** Whether the quality is worth a sentence. */
export function isWeak(call: CallState): boolean {
  return (
    isSlow(call) ||
    isFrozen(call) ||
    secondsOld(call) !== null ||
    hasSoundGaps(call) ||
    isLostThere(call)
  );
}
