import type { Criterion } from "../cases.ts";
import type { Check } from "../trial.ts";
import { fold, inQuotes, missing, shown } from "./folded.ts";

/** A signature may have lines below it, such as a title and a telephone number. */
const LINES_BELOW = 2;
const WORDS = new Intl.Segmenter("en", { granularity: "word" });
const SENTENCES = new Intl.Segmenter("en", { granularity: "sentence" });
/** Behind these a full stop ends no sentence, where more follows. */
const ABBREVIATION =
  /(?:^|[\s(])(?:dra?|mrs?|ms|sra?|prof|st|nr|tel|ca|bzw|ul|mgr|inż|arq|eng|z\.\s?b|e\.g|i\.e)\.\s*$/iu;
const ENDING = /[.!?…。！？]["'”’»)\]]*\s*$/u;

/**
 * Checks a draft by the criteria that code can check; those for a judge are left out. Texts are compared without letters'
 * case and line breaks; `contains` and `lacks` find words in longer ones too. Where there is no draft, nothing is met.
 */
export function checkDraft(criteria: readonly Criterion[], draft: string | null): Check[] {
  return criteria.flatMap((criterion): Check[] => {
    if ("judge" in criterion) return [];
    const name = inWords(criterion);
    if (draft === null) return [{ kind: "answer", name, met: false, note: "there is no draft" }];
    const note = faultOf(criterion, draft);
    return [{ kind: "answer", name, met: note === undefined, ...(note === undefined ? {} : { note }) }];
  });
}

/** The words of a text, by Unicode's word boundaries (UAX #29): a time is two, a number with a point one. */
export function countWords(text: string): number {
  return [...WORDS.segment(text)].filter(({ isWordLike }) => isWordLike).length;
}

/**
 * The sentences of a text, by Unicode's sentence boundaries (UAX #29): what ends in a full stop, a question or exclamation
 * mark or an ellipsis. Line breaks end none, so that lines may be wrapped; empty lines do. A greeting and a closing, which
 * end in a comma or a name, are none.
 */
export function countSentences(text: string): number {
  const paragraphs = text.split(/\n\s*\n/).map((paragraph) => paragraph.replace(/\s+/gu, " "));
  const sentences = paragraphs.flatMap((paragraph) => {
    const segments = [...SENTENCES.segment(paragraph)].map(({ segment }) => segment);
    return segments.filter((each, i) => ENDING.test(each) && (i === segments.length - 1 || !ABBREVIATION.test(each)));
  });
  return sentences.length;
}

type Checked = Exclude<Criterion, { judge: string }>;

function inWords(criterion: Checked): string {
  if ("contains" in criterion) return `contains ${inQuotes(criterion.contains)}`;
  if ("contains_any" in criterion) return `contains ${inQuotes(criterion.contains_any, "or")}`;
  if ("lacks" in criterion) return `lacks ${inQuotes(criterion.lacks)}`;
  if ("matches" in criterion) return `matches /${criterion.matches}/`;
  if ("at_most_words" in criterion) return `has at most ${criterion.at_most_words} words`;
  if ("at_most_sentences" in criterion) return `has at most ${criterion.at_most_sentences} sentences`;
  return `is signed ${inQuotes(criterion.signed)}`;
}

/** What is wrong, or undefined. */
function faultOf(criterion: Checked, draft: string): string | undefined {
  if ("contains" in criterion) {
    const absent = missing(criterion.contains, draft);
    return absent.length === 0 ? undefined : `${inQuotes(absent)} is not there`;
  }
  if ("contains_any" in criterion) {
    const { contains_any } = criterion;
    return missing(contains_any, draft).length < contains_any.length ? undefined : "none of them is there";
  }
  if ("lacks" in criterion) {
    const absent = missing(criterion.lacks, draft);
    const present = [criterion.lacks].flat().filter((word) => !absent.includes(word));
    return present.length === 0 ? undefined : `${inQuotes(present)} is there`;
  }
  if ("matches" in criterion) {
    return new RegExp(criterion.matches, "iu").test(draft.normalize("NFC")) ? undefined : "it does not";
  }
  if ("at_most_words" in criterion) return tooMany(countWords(draft), criterion.at_most_words);
  if ("at_most_sentences" in criterion) return tooMany(countSentences(draft), criterion.at_most_sentences);
  return isSigned(draft, criterion.signed) ? undefined : `it ends with ${shown(linesOf(draft).at(-1) ?? "nothing")}`;
}

function tooMany(found: number, allowed: number): string | undefined {
  return found > allowed ? `it has ${found}` : undefined;
}

/**
 * Whether a draft ends with a name: as lines of their own, at the end or with at most two lines below, or behind the comma
 * or dash of a closing ("Best, Ada").
 */
function isSigned(draft: string, signature: string): boolean {
  const [lines, name] = [linesOf(draft), linesOf(signature)];
  return lines.some((_, at) => {
    const below = lines.length - at - name.length;
    if (below < 0 || below > LINES_BELOW) return false;
    return name.every((wanted, i) => {
      const line = lines[at + i] ?? "";
      const before = line.endsWith(wanted) ? line.slice(0, line.length - wanted.length) : undefined;
      return before === "" || (i === 0 && before !== undefined && /[,–—-]\s*$/u.test(before));
    });
  });
}

/** The lines that are not empty, as they are compared. */
function linesOf(text: string): string[] {
  return text
    .split("\n")
    .map((line) => fold(line).replace(/[.!]$/, ""))
    .filter((line) => line !== "");
}
