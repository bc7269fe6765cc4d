import { cleanText, splitLines } from "../email.ts";
import { MnemailError } from "../errors.ts";

const MESSAGE_LIMIT = 4_000;

/**
 * Checks what a user says in a chat: visible text of at most 4,000 characters. Line breaks stay; invisible format
 * characters, which can come with what is pasted, are taken out.
 *
 * @throws MnemailError("usage") that says what is wrong with it.
 */
export function parseMessage(text: string): string {
  const refuse = (what: string, hint: string): never => {
    throw new MnemailError("usage", `message: ${what}`, hint);
  };
  if (text.length > MESSAGE_LIMIT) {
    refuse(`saw ${text.length} characters; at most ${MESSAGE_LIMIT} are allowed`, "say it in several messages");
  }
  const lines = splitLines(text).join("\n");
  if (/(?![\t\n])\p{Cc}/u.test(lines)) {
    refuse("saw control characters; expected plain text", "type it, or paste it as plain text");
  }
  const visible = cleanText(lines).trim();
  if (visible === "") refuse("saw no visible text; expected a sentence", 'such as "What do you know about Ada?"');
  return visible;
}
