import { diffArrays } from "diff";
import { oneLine, splitLines } from "../email.ts";
import type { FeedbackRecord } from "../memory/feedback-record.ts";
import type { KeptEmail } from "../memory/records.ts";

/** So many words in a row that the email has too are the email's. */
const COPIED_WORDS = 3;
const DIFF_TIMEOUT_MS = 2_000;
/** How mail programs announce what they quote or forward below. */
const QUOTE_BEGINS =
  /^(?:-{2,}\s*(?:original message|forwarded message|ursprüngliche nachricht|message d'origine)\b.*|begin forwarded message:.*|(?:on|am|le|el)\b.{5,200}(?:wrote|schrieb|écrit|escribió)(?: .{0,100})?\s?:)$/iu;

/** What in a feedback is the user's own: the words they typed, and each run of words they put into a draft. */
export interface UserText {
  typed: string;
  inserted: string[];
}

/**
 * The user's own words in a feedback. Quoted and forwarded lines are left out, since a stranger wrote them; of an
 * edited draft only what was inserted counts, without runs of words that the answered email or the draft has too.
 */
export function userText(feedback: FeedbackRecord, email?: Pick<KeptEmail, "from" | "subject" | "body">): UserText {
  const typed = "text" in feedback ? ownLines(feedback.text ?? "") : "";
  if (feedback.kind !== "edited_draft") return { typed, inserted: [] };
  // What the stranger wrote, and what a model made of it, which may only have been moved. The user's name stands in To.
  const others = [...(email ? [email.from, email.subject, email.body] : []), feedback.before].join("\n");
  const inserted = insertedRuns(ownLines(feedback.before), ownLines(feedback.after))
    .flatMap((run) => withoutCopied(run, others))
    .filter((run) => /[\p{L}\p{N}]/u.test(run));
  return { typed, inserted };
}

/** The runs of words that `after` has and `before` has not, each on one line. */
function insertedRuns(before: string, after: string): string[] {
  const words = splitLines(after).flatMap((line, at) => wordsOf(line).map((word) => ({ word, at })));
  const changes = diffArrays(
    wordsOf(before),
    words.map(({ word }) => word),
    { timeout: DIFF_TIMEOUT_MS, comparator: (a, b) => plainWord(a) === plainWord(b) },
  );
  const runs: { at: number; words: string[] }[] = [];
  let position = 0;
  let isOpen = false;
  for (const { added, removed, value } of changes ?? []) {
    if (removed) continue;
    for (const { word, at } of words.slice(position, position + value.length)) {
      const last = runs.at(-1);
      if (added && isOpen && last?.at === at) last.words.push(word);
      else if (added) runs.push({ at, words: [word] });
      isOpen = added;
    }
    position += value.length;
  }
  return runs.map((run) => run.words.join(" "));
}

function wordsOf(text: string): string[] {
  return text.match(/\S+/g) ?? [];
}

/** A text without its quoted lines and without what follows the announcement of quoted or forwarded mail. */
function ownLines(text: string): string {
  const lines = splitLines(text);
  const end = lines.findIndex((line, i) => {
    const two = oneLine(`${line} ${lines[i + 1] ?? ""}`);
    return QUOTE_BEGINS.test(oneLine(line)) || (/^(?:on|am|le|el)\b/i.test(line) && QUOTE_BEGINS.test(two));
  });
  return lines
    .slice(0, end < 0 ? lines.length : end)
    .filter((line) => !/^\s*[>|]/.test(line))
    .join("\n")
    .trim();
}

/** The parts of a run of words between those that a text of others has in the same order. */
function withoutCopied(run: string, others: string): string[] {
  const words = wordsOf(run);
  const plain = words.map(plainWord);
  const known = ` ${wordsOf(others).map(plainWord).join(" ")} `;
  const isCopied = words.map(() => false);
  // A run shorter than that is theirs when all of it stands there.
  const length = Math.min(COPIED_WORDS, words.length);
  for (let at = 0; at + length <= words.length; at += 1) {
    if (known.includes(` ${plain.slice(at, at + length).join(" ")} `)) isCopied.fill(true, at, at + length);
  }
  const kept: string[][] = [[]];
  for (const [i, word] of words.entries()) {
    if (isCopied[i]) kept.push([]);
    else kept.at(-1)?.push(word);
  }
  return kept.filter((part) => part.length > 0).map((part) => part.join(" "));
}

function plainWord(word: string): string {
  return word
    .normalize("NFKC")
    .toLowerCase()
    .replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");
}
