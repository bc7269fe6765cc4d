import { cleanText } from "../email.ts";

/** One line on stderr, so that stdout stays for results. */
export function note(line: string): void {
  console.error(`mnemail: ${line}`);
}

/** One JSON document on one line of stdout. */
export function printJson(value: unknown): void {
  console.log(JSON.stringify(value));
}

/** A stranger's text on one line for a terminal: no control characters, at most `limit` characters. */
export function shorten(text: string, limit = 200): string {
  const line = cleanText(text).replace(/\s+/g, " ").trim();
  return line.length > limit ? `${line.slice(0, limit - 1)}…` : line;
}
