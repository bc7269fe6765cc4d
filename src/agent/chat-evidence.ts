import { oneLine, splitLines } from "../email.ts";
import { namesIn, restsOn } from "../learning/check.ts";
import { userText } from "../learning/user-text.ts";
import { tokenize } from "../store/tokens.ts";

/** How a model calls whom it works for, where they said "I". */
const OF_THE_PERSON = new Set(tokenize("user person", "english"));
const NEGATION = /\b(?:not|no|never|none|without|cannot|\p{L}+n['’]t)\b/iu;
const SENTENCE_END = /(?<=[.!?…。！？]["'”’)]*)\s+/u;

/** What in a message is the user's own: quoted and forwarded lines are a stranger's, as in feedback. */
export function ownWords(message: string): string {
  const said = { id: "chat", actor: "user", channel: "chat", at: "" };
  return userText({ ...said, kind: "text", text: message }).typed;
}

/**
 * Whether the user said what a model wants to remember: it names no address, domain or link that they did not type, and
 * is whole words of one message; or all its words, but for stop words and endings, are theirs, and as many denials.
 */
export function isSaid(content: string, userTexts: readonly string[]): boolean {
  const said = userTexts.join("\n");
  const names = new Set(namesIn(said).flatMap((name) => [name, name.slice(name.indexOf("@") + 1)]));
  if (namesIn(content).some((name) => !names.has(name))) return false;
  if (userTexts.some((text) => restsOn(content, text))) return true;
  const words = tokenize(content, "english").filter((word) => !OF_THE_PERSON.has(word));
  return words.length > 1 && isSubset(words, said) && NEGATION.test(content) === NEGATION.test(said);
}

/** Whether the user spoke of something: at least one of its words that say anything is theirs. */
export function isSpokenOf(content: string, userTexts: readonly string[]): boolean {
  const said = new Set(tokenize(userTexts.join("\n"), "english"));
  return tokenize(content, "english").some((word) => said.has(word));
}

/**
 * The sentences of a message that a text repeats, as the user wrote them; undefined where it is anything but whole
 * sentences that follow on each other, since a part can say the opposite of the whole.
 */
export function wholeSentences(text: string, message: string): string | undefined {
  const sentences = splitLines(message).flatMap((line) => oneLine(line).split(SENTENCE_END).filter(Boolean));
  const wanted = bareWords(text);
  if (wanted === "") return undefined;
  for (let from = 0; from < sentences.length; from += 1) {
    for (let to = from + 1; to <= sentences.length; to += 1) {
      const part = sentences.slice(from, to).join(" ");
      const words = bareWords(part);
      if (words === wanted) return part;
      if (words.length > wanted.length) break;
    }
  }
  return undefined;
}

function isSubset(words: readonly string[], text: string): boolean {
  const known = new Set(tokenize(text, "english"));
  return words.every((word) => known.has(word));
}

function bareWords(text: string): string {
  const words =
    text
      .normalize("NFKC")
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? [];
  return words.join(" ");
}
