import { MnemailError } from "../errors.ts";

const TEXT_LIMIT = 300;
const ADDRESS_OR_LINK = /[\w.+-]+@[\w-]+(?:\.[\w-]+)+|\b(?:https?:\/\/|www\.)\S+/giu;

/**
 * Checks what a model proposes to learn against the words the user typed. Refuses, never repairs: a proposal is
 * one short line, rests on evidence that is really in the user's text, and names no address or link the user did
 * not type, so that no email shown beside the feedback can smuggle one in.
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
  if (/[\r\n\u2028\u2029]/.test(text)) refuse("the rule has more than one line");
  if (/[{}]/.test(text)) refuse("the rule has braces, which mark the slots of a prompt");
  if (evidence.trim() === "" || !fold(userText).includes(fold(evidence))) {
    refuse("the words it rests on are not in the feedback");
  }
  const foreign = (text.match(ADDRESS_OR_LINK) ?? []).find((each) => !fold(userText).includes(fold(each)));
  if (foreign !== undefined) refuse(`the rule names ${foreign}, which the feedback does not`);
}

function fold(text: string): string {
  return text.normalize("NFKC").toLowerCase().replace(/\s+/g, " ").trim();
}
