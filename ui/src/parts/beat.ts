/**
 * Where nothing but the processor paints, every change of the window costs about the same, however small it
 * is. So what may wait a moment (one's own picture, a meter) changes together with the other end's picture,
 * and by itself only where none comes.
 */

/** Nothing waits longer than this for a picture, in milliseconds: two at thirty a second. */
const LONGEST = 60;

const waiting = new Set<() => void>();
let timer: ReturnType<typeof setTimeout> | undefined;
let beat: number | undefined;

/** Has `change` made when the next picture is drawn; of one that waits already nothing is added. */
export function withNextPicture(change: () => void): void {
  waiting.add(change);
  timer ??= setTimeout(() => {
    beat = requestAnimationFrame(pictureDrawn);
  }, LONGEST);
}

/** It waits no more. */
export function withoutPicture(change: () => void): void {
  waiting.delete(change);
}

/** A picture is drawn in this very beat of the screen, and with it what waited. */
export function pictureDrawn(): void {
  clearTimeout(timer);
  if (beat !== undefined) cancelAnimationFrame(beat);
  timer = beat = undefined;
  const changes = [...waiting];
  waiting.clear();
  for (const change of changes) change();
}
