import type { Change, Snapshot, Visit } from "./bindings";

/** The state with what has changed of it; the rest stays the same object. */
export function withChange(before: Snapshot, { visit, ...rest }: Change): Snapshot {
  if (visit === undefined) return { ...before, ...rest };
  // Where there was none, the whole of it comes.
  const now = visit && before.visit ? { ...before.visit, ...visit } : (visit as Visit | null);
  return { ...before, ...rest, visit: now };
}
