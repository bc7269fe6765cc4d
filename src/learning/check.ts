import { cleanText, oneLine, splitLines } from "../email.ts";
import { MnemailError } from "../errors.ts";

const TEXT_LIMIT = 300;
const LEAST_EVIDENCE = 8;
/** Addresses, links and domain names, in any script. */
const ADDRESS_OR_LINK =
  /[^\s<>()"',;]+@[^\s<>()"',;]+|\b[a-z][a-z0-9+.-]*:\/\/\S+|[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*\.\p{L}{2,}[^\s<>()"',;]*/giu;

/**
 * Checks what a model proposes to learn against the words the user typed. Refuses, never repairs: a proposal is
 * one short visible line, rests on whole words that are really in the user's text, and names no address, domain or
 * link that the user did not type.
 *
 * @throws MnemailError("input") that says which check failed; nothing was changed.
 */
export function checkProposal(proposal: { text: string; evidence: string }, userText: string): void {
  const refuse = (why: string): never => {
    throw new MnemailError("input", `feedback: nothing was learnt: ${why}`, "say it again in other words");
  };
  const { text, evidence } = proposal;
  if (text.trim() === "") refuse("the model proposed an empty rule");
  if (text.length > TEXT_LIMIT) refuse(`the rule has ${text.length} characters; at most ${TEXT_LIMIT} are allowed`);
  if (cleanText(text) !== text) refuse("the rule has invisible characters");
  if (splitLines(text).length > 1) refuse("the rule has more than one line");
  if (/[{}]/.test(text)) refuse("the rule has braces, which mark the slots of a prompt");
  const [said, quoted] = [words(userText), words(evidence)];
  const isEnough = quoted.trim().length >= LEAST_EVIDENCE || quoted === said;
  if (quoted.trim() === "" || !isEnough || !said.includes(quoted)) {
    refuse("the words it rests on are not in the feedback");
  }
  const typed = new Set(namesIn(userText));
  const foreign = namesIn(text).find((name) => !typed.has(name));
  if (foreign !== undefined) refuse(`the rule names ${foreign}, which the feedback does not`);
}

/** The words of a text between single spaces, so that a part of a word is never found. */
function words(text: string): string {
  const found =
    text
      .normalize("NFKC")
      .toLowerCase()
      .match(/[\p{L}\p{M}\p{N}@.]+/gu) ?? [];
  return ` ${found.map((word) => word.replace(/^\.+|\.+$/g, "")).join(" ")} `;
}

function namesIn(text: string): string[] {
  const found = oneLine(text).toLowerCase().match(ADDRESS_OR_LINK) ?? [];
  return found.map((name) => name.replace(/[.!?:]+$/, ""));
}
