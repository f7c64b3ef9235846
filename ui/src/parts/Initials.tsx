/** A person without a picture: their initials. */
export function Initials({ name, size = 56 }: { name: string; size?: number }) {
  const words = name.split(/\s+/).filter((word) => /^\p{L}/u.test(word) && !word.endsWith("."));
  const letters = [words.at(0), words.length > 1 ? words.at(-1) : undefined]
    .map((word) => word?.charAt(0) ?? "")
    .join("");
  return (
    <span
      className="initials"
      aria-hidden
      ref={(element) => {
        element?.style.setProperty("--size", `${size}px`);
      }}
    >
      {letters.toUpperCase()}
    </span>
  );
}
