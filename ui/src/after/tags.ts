/** The words to tap. */
export const TAGS = [
  "Professional",
  "Friendly",
  "Knowledgeable",
  "On-time",
  "Patient",
  "Clear explanations",
  "Good listener",
  "Thorough",
] as const;

/** One of them. */
export type Tag = (typeof TAGS)[number];

/** Whether a word is one of ours: other systems bring their own, which are shown as they are. */
export function isOurs(word: string): word is Tag {
  return TAGS.some((tag) => tag === word);
}
