import { cleanText, oneLine, splitLines } from "../email.ts";
import { MnemailError } from "../errors.ts";

const TEXT_LIMIT = 300;
/** What evidence must have at least, unless it is all that the user said. */
const LEAST = { words: 2, characters: 5, oneWord: 8, unspaced: 4 };
/** Scripts that put no spaces between words. */
const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
/** Joiners within words of scripts that need them, and within emoji. */
const JOINERS = /(?<=[^\p{Script=Latin}\p{N}\p{P}\s])[\u200c\u200d](?=[^\p{Script=Latin}\p{N}\p{P}\s])/gu;
/** Addresses, links, numeric hosts and domain names. A name in ASCII ends where another script begins. */
const HOST = String.raw`(?:[a-z0-9.-]*[a-z0-9]|[\p{L}\p{N}.-]*[\p{L}\p{N}])`;
const NAME = new RegExp(
  String.raw`[\p{L}\p{N}.!#$%&+=?^_~-]+@${HOST}|\b[a-z][a-z0-9+.-]*:\/\/[^\s“”«»„「」、。]+|\b\d{1,3}(?:\.\d{1,3}){3}\b|[a-z0-9-]+(?:\.[a-z0-9-]+)*\.[a-z]{2,}|[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*\.\p{L}{2,}`,
  "giu",
);

/** Refuses what a model proposes: nothing was changed. */
export function refuse(why: string): never {
  throw new MnemailError("input", `feedback: nothing was learnt: ${why}`, "say it again in other words");
}

/**
 * Checks what a model proposes to learn against the texts that are the user's own. Refuses, never repairs: a proposal
 * is one short visible line, rests on whole words that are really in one of them, and names no address, domain or
 * link that they do not have.
 *
 * @throws MnemailError("input") that says which check failed; nothing was changed.
 */
export function checkProposal(proposal: { text: string; evidence: string }, userTexts: readonly string[]): void {
  const { text, evidence } = proposal;
  if (text.trim() === "") refuse("the model proposed an empty rule");
  if (text.length > TEXT_LIMIT) refuse(`the rule has ${text.length} characters; at most ${TEXT_LIMIT} are allowed`);
  if (cleanText(text) !== text.replace(JOINERS, "")) refuse("the rule has invisible characters");
  if (splitLines(text).length > 1) refuse("the rule has more than one line");
  checkEvidence(evidence, userTexts);
  const typed = new Set(namesIn(userTexts.join("\n")).flatMap((name) => [name, name.slice(name.indexOf("@") + 1)]));
  const foreign = namesIn(text).find((name) => !typed.has(name));
  if (foreign !== undefined) refuse(`the rule names ${foreign}, which the feedback does not`);
}

/** @throws MnemailError("input") unless the evidence is whole words of one of the texts. */
export function checkEvidence(evidence: string, userTexts: readonly string[]): void {
  if (!userTexts.some((text) => restsOn(evidence, text))) refuse("the words it rests on are not in the feedback");
}

/** Whether some evidence is whole words of a text, and enough of them to tell. */
export function restsOn(evidence: string, userText: string): boolean {
  const [said, quoted] = [wordsOf(userText), wordsOf(evidence)];
  if (quoted.length === 0) return false;
  if (UNSPACED.test(evidence)) {
    const [all, part] = [said.join(""), quoted.join("")];
    return all === part || (part.length >= LEAST.unspaced && all.includes(part));
  }
  const [all, part] = [` ${said.join(" ")} `, ` ${quoted.join(" ")} `];
  const length = part.length - 2;
  const isEnough = length >= LEAST.oneWord || (quoted.length >= LEAST.words && length >= LEAST.characters);
  return all === part || (isEnough && all.includes(part));
}

function wordsOf(text: string): string[] {
  return (
    text
      .normalize("NFKC")
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}@]+/gu) ?? []
  );
}

/** The addresses, domains, links and numeric hosts in a text, in lower case. */
export function namesIn(text: string): string[] {
  // Browsers read these full stops as dots of a domain.
  const folded = oneLine(text.normalize("NFKC"))
    .toLowerCase()
    .replace(/(?<=[a-z0-9])[。｡](?=[a-z0-9])/g, ".");
  return [...folded.matchAll(NAME)].map(([name]) => name.replace(/[.!?:,;)'"]+$/, ""));
}
