import { diffArrays } from "diff";
import { cleanText, oneLine, splitLines } from "../email.ts";
import type { FeedbackRecord } from "../memory/feedback-record.ts";
import type { KeptEmail } from "../memory/records.ts";

/** So many words in a row that the email has too are the email's. */
const COPIED_WORDS = 3;
const DIFF_TIMEOUT_MS = 2_000;
/**
 * How mail programs announce what they quote or forward below: a line of dashes or underscores with or without words,
 * "begin forwarded message", the head of an Outlook quotation, and a line that ends in a colon and names an address or
 * says that somebody wrote.
 */
const QUOTE_BEGINS = [
  /^[-_–—=*]{5,}$/u,
  /^[-_–—=*]{2,}\s?\S.*[-_–—=*]{2,}$/u,
  /^(?:begin forwarded message|anfang der weitergeleiteten|inicio del mensaje|début du message|inoltrato|forwarded by)/iu,
  /^\*?(?:from|von|de|da|van|fra|från|od|lähettäjä|от|发件人|寄件者|差出人|보낸 사람)\s?[:：].*[@\p{L}]/iu,
  /(?:<?\S+@\S+>?|\b(?:wrote|schrieb|schreef|skrev|écrit|escribió|escreveu|scritto|kirjoitti|napsal|napisał)\b.{0,100}|写道|寫道|書きました)\s?[:：]$/iu,
];
/** Marks at the beginning of a quoted line. */
const QUOTED = /^[\s\p{Cf}]*(?:[>|»＞│┃]|&gt;|[\p{L}]{1,10}>)/u;
/** Scripts without spaces, in which a run of letters is compared instead of words. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const COPIED_LETTERS = 4;
/** Characters of inserted runs that a model is shown; what follows them is left out, run by run. */
const INSERTED_LIMIT = 4_000;

/** What in a feedback is the user's own: the words they typed, and each run of words they put into a draft. */
export interface UserText {
  typed: string;
  inserted: string[];
}

/**
 * The user's own words in a feedback. Quoted and forwarded lines are left out, since a stranger wrote them; of an
 * edited draft only what was inserted counts, without runs of words that the answered email or the draft has too.
 */
export function userText(
  feedback: FeedbackRecord,
  email?: Pick<KeptEmail, "from" | "subject" | "body" | "cut">,
): UserText {
  const typed = "text" in feedback ? ownLines(feedback.text ?? "") : "";
  if (feedback.kind !== "edited_draft") return { typed, inserted: [] };
  // Of an email that is not kept whole nobody can tell which words are its own.
  if (email?.cut) return { typed, inserted: [] };
  // What the stranger wrote, and what a model made of it, which may only have been moved. The user's name stands in To.
  const others = [...(email ? [email.from, email.subject, email.body] : []), feedback.before].join("\n");
  const inserted = insertedRuns(ownLines(feedback.before), ownLines(feedback.after))
    .flatMap((run) => withoutCopied(run, others))
    .filter((run) => /[\p{L}\p{N}]/u.test(run));
  let length = 0;
  const shown = inserted.filter((run) => {
    length += run.length;
    return length <= INSERTED_LIMIT;
  });
  return { typed, inserted: shown };
}

/** The runs of words that `after` has and `before` has not, each on one line. */
function insertedRuns(before: string, after: string): string[] {
  const words = splitLines(after).flatMap((line, at) => wordsOf(line).map((word) => ({ word, at })));
  const changes = diffArrays(
    wordsOf(before),
    words.map(({ word }) => word),
    { timeout: DIFF_TIMEOUT_MS, comparator: (a, b) => bareWord(a) === bareWord(b) },
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
  const lines = splitLines(cleanText(text));
  const begins = (line: string) => QUOTE_BEGINS.some((pattern) => pattern.test(line));
  const end = lines.findIndex((line, i) => {
    // Long announcements are broken over up to three lines; they begin with a date or a preposition.
    const broken = [2, 3].map((count) => oneLine(lines.slice(i, i + count).join(" ")));
    const canBreak = /^(?:on|am|le|el|il|em|op|den|\d)\b/iu.test(line) && line.length > 5;
    return begins(oneLine(line)) || (canBreak && broken.some((each) => each.length < 300 && begins(each)));
  });
  return lines
    .slice(0, end < 0 ? lines.length : end)
    .filter((line) => !QUOTED.test(line))
    .join("\n")
    .trim();
}

/** The parts of a run of words between those that a text of others has in the same order. */
function withoutCopied(run: string, others: string): string[] {
  const words = [...run.matchAll(/[\p{L}\p{M}\p{N}]+/gu)];
  const plain = words.map(([word]) => plainWord(word));
  const theirs = plainWord(cleanText(others));
  if (UNSPACED.test(run)) {
    const letters = theirs.replace(/[^\p{L}\p{M}\p{N}]/gu, "");
    const own = plain.join("");
    const length = Math.min(COPIED_LETTERS, own.length);
    const isCopied = Array.from({ length: own.length - length + 1 }, (_, at) => own.slice(at, at + length));
    return isCopied.some((part) => letters.includes(part)) ? [] : [run];
  }
  const known = ` ${(theirs.match(/[\p{L}\p{M}\p{N}]+/gu) ?? []).join(" ")} `;
  const isCopied = words.map(() => false);
  // A run shorter than that is theirs when all of it stands there.
  const length = Math.min(COPIED_WORDS, words.length);
  for (let at = 0; at + length <= words.length; at += 1) {
    if (known.includes(` ${plain.slice(at, at + length).join(" ")} `)) isCopied.fill(true, at, at + length);
  }
  const kept: string[] = [];
  let from: number | undefined;
  for (const [i, { index }] of words.entries()) {
    if (isCopied[i]) {
      if (from !== undefined) kept.push(run.slice(from, index).trim());
      from = undefined;
    } else from ??= i === 0 ? 0 : index;
  }
  if (from !== undefined) kept.push(run.slice(from).trim());
  return kept;
}

function plainWord(word: string): string {
  return word.normalize("NFKC").toLowerCase();
}

function bareWord(word: string): string {
  return plainWord(word).replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");
}
