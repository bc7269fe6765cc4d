import { cleanText, oneLine } from "../email.ts";

/** One line on stderr, so that stdout stays for results. A stranger's text in it cannot steer the terminal. */
export function note(line: string): void {
  console.error(`mnemail: ${shorten(line, 2_000)}`);
}

/** One JSON document on one line of stdout; characters that steer terminals are escaped. */
export function printJson(value: unknown): void {
  const escaped = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
  console.log(JSON.stringify(value).replace(/[\u007f-\u009f\u2028-\u202e\u2066-\u2069]/g, escaped));
}

/** A stranger's text on one line for a terminal: no control characters, at most `limit` characters. */
export function shorten(text: string, limit = 200): string {
  const line = oneLine(cleanText(text));
  return line.length > limit ? `${line.slice(0, limit - 1)}…` : line;
}
