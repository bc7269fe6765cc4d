import { cleanText, oneLine } from "../../email.ts";

const NOTE_LIMIT = 200;

/**
 * A text as it is compared: letters' case, line breaks and runs of space do not count, and typographic quotes and hyphens
 * are plain ones.
 */
export function fold(text: string): string {
  const plain = text
    .normalize("NFC")
    .replace(/[‘’]/gu, "'")
    .replace(/[“”„]/gu, '"')
    .replace(/[\u2010\u2011]/gu, "-");
  return oneLine(plain).toLowerCase();
}

/** Those of some words that a text does not have, wherever in it: `art` is in `start`. */
export function missing(words: string | readonly string[], text: string): string[] {
  const folded = fold(text);
  return [words].flat().filter((word) => !folded.includes(fold(word)));
}

/** Words in quotes, for the name of a check: `"a" and "b"`. */
export function inQuotes(words: string | readonly string[], joint = "and"): string {
  return [words]
    .flat()
    .map((word) => `"${oneLine(word)}"`)
    .join(` ${joint} `);
}

/** A value on one line, as far as a note goes: it may be a model's or a stranger's. */
export function shown(value: unknown): string {
  const text = oneLine(cleanText(typeof value === "string" ? value : (JSON.stringify(value) ?? "nothing")));
  return text.length > NOTE_LIMIT ? `${text.slice(0, NOTE_LIMIT)}…` : text;
}
