/**
 * All that the stand-in understands. It is no language model; it follows this closed grammar and says so.
 *
 * Rules the user taught (any case of letters; "Always", "Please", "From now on" and a final period may be left out or added):
 *   - sign [all] my emails|replies|... with|as NAME
 *   - label emails COND as ignore|notify|respond;  ignore emails COND;  notify me about|of emails COND;
 *     respond to|answer|reply to emails COND
 *   - COND: from ADDRESS|DOMAIN|DISPLAY NAME;  about "WORDS"|WORDS (subject or body);  with "WORDS" in the subject;
 *     of the list LIST-ID
 *   - in a request about one email: This email gets the label LABEL, as the person decided for its sender|domain|
 *     mailing list
 *   Any other rule is named as not understood, in the reason or in the last line of the draft.
 * Triage, the first that applies: the last label rule that matches; the nearest example, when near enough; the
 *   signs of bulk mail add up; an automated sender; a request or a direct question; else notify.
 * Answer (`answer-email.ts`): a question for the user where the email says so; when a meeting is asked for, the calendar,
 *   then the first free time in it and the draft; else the draft at once; anew, with what the user says about it.
 * Chat (`chat.ts`): a tool for each of a few forms of sentences, and then the lines of its result.
 * Learn (`learn.ts`), in at most three operations, each on a target of the answer's schema (one that is not there
 *   becomes the first but memory). What is listed for memory is a fact, even where it reads like a rule. Words of the
 *   user, where there are any, decide alone:
 *   - thanks or praise alone: nothing;  forget|drop|remove|delete the rule "TEXT"|TEXT: retires it, or nothing;
 *   - forget that|forget: FACT: retires the fact of these words, or nothing;
 *   - a label rule is added to its label's prompt, and rules with its condition and another label are retired;
 *     a sign rule replaces the last one, or is added to the instructions; sentences that are all such rules are
 *     learnt one by one;
 *   - words of style are added to the instructions, a statement to memory (in the place of the first fact that it
 *     contradicts), all else to the prompt it names or the instructions.
 *   Of an edit alone, "Sign emails with NAME" is added for a closing with a name of one to four capitalised words
 *   (Best,|Regards,|Kind regards,|Cheers,|Thanks, NAME, on one line or two), or for the last line, when it is a name
 *   of two words or more; else nothing.
 * Extract (`remember.ts`): the first three sentences of the sender's own text that begin (after a greeting, "Also",
 *   "By the way" or the like) in one of these ways, are no question, and neither hold "please remember|note that" nor
 *   repeat what another says after it:
 *   - I prefer ...;  I am on leave|away|out of office|travelling ...;  I am now|the new ...;  I [have] moved to ...;
 *     I work at|for|in ...;  I no longer work at|for|in|on ...;  I do not work on ...;  Please call me NAME;
 *     My [new] number|address|role|title|manager|assistant is ...;  From DATE on, I ...
 *   Said of the sender by name; where the rest says I, my, we, you or the like, and after DATE: NAME wrote: "SENTENCE".
 *   What a listed memory says already is left out; the first that it contradicts is superseded.
 * Reconcile, and all that contradicts: two sentences that are the same up to a verb of one value (`words.ts`), and not
 *   behind it; or that are the same but for a "no longer" in one. Case, a final period and "Remember that" do not count.
 */
import { answerEmail } from "./answer-email.ts";
import { chat } from "./chat.ts";
import { contentWords } from "./embedding.ts";
import { learn } from "./learn.ts";
import { type Label, type Mail, oneLine, readBlocks, readMail, sentences, textsOf } from "./prompt-reader.ts";
import { extract, reconcile } from "./remember.ts";
import { matches, type ReadRule, rulesOf, unknownRules } from "./rules.ts";
import type { Answer, ChatRequest } from "./wire.ts";
import {
  ACCOUNTS_SENDER,
  AUTOMATED_SENDER,
  BULK_SENDER,
  REQUEST,
  STRONG_BULK_SIGNS,
  SUPPORT_QUESTION,
  TRANSACTION,
  WEAK_BULK_SIGNS,
} from "./words.ts";

/** What the stand-in says to a request it does not know. */
export const NOT_UNDERSTOOD: Answer = {
  content: "[stand-in] This model understands only the prompts of Mnemail.",
  calls: [],
};

/** What answers the requests for JSON, by the name of their schema. */
const STRUCTURED = new Map<string, (request: ChatRequest) => object>([
  ["triage", triage],
  ["learn", learn],
  ["extract", extract],
  ["reconcile", reconcile],
]);

/** Answers one request by the grammar above; the same request always gives the same answer. */
export function answer(request: ChatRequest): Answer {
  const asJson = STRUCTURED.get(request.format?.name ?? "");
  if (asJson) return { content: JSON.stringify(asJson(request)), calls: [] };
  if (request.tools.has("write_email")) return answerEmail(request) ?? NOT_UNDERSTOOD;
  return request.tools.has("give_feedback") ? chat(request) : NOT_UNDERSTOOD;
}

function decide(mail: Mail, rules: ReadRule[], examples: { label: Label; mail: Mail }[]): [Label, string] {
  for (const { text, rule } of rules.toReversed()) {
    if (rule && "label" in rule && matches(rule.on, mail)) return [rule.label, `follows the rule "${text}"`];
  }
  const near = examples
    .map((example) => ({ ...example, ...nearness(mail, example.mail) }))
    .filter(({ shared, sameSender }) => shared >= (sameSender ? 0.15 : 0.5))
    .sort((a, b) => b.score - a.score);
  const nearest = near.findLast(({ score }) => score === near[0]?.score);
  if (nearest) return [nearest.label, `is like "${nearest.mail.subject}", which was labelled ${nearest.label}`];
  const isReply = /^(?:re|fwd?|aw|wg)\s*:/i.test(mail.subject);
  const said = sentences(`${isReply ? "" : mail.subject}\n\n${mail.own}`.slice(0, 50_000)).map(plain);
  const text = `${plain(mail.subject)} ${said.join(" ")}`;
  const fromBulk = BULK_SENDER.test(mail.address);
  const request = said.some((sentence) => REQUEST.test(sentence));
  const found = (signs: RegExp[]) => signs.filter((sign) => sign.test(text)).length;
  const bulk = 2 * found(STRONG_BULK_SIGNS) + found(WEAK_BULK_SIGNS) + (fromBulk ? 1 : 0);
  // A person who asks about a sale is not the shop, and a receipt may carry an advertisement.
  const doubt = (request && !fromBulk) || TRANSACTION.test(plain(mail.subject));
  if (bulk >= (doubt ? 3 : 2)) return ["ignore", "has the signs of bulk mail or phishing"];
  if (AUTOMATED_SENDER.test(mail.address)) return ["notify", "comes from an automated sender"];
  if (request) return ["respond", "asks for something"];
  const question = said.some((sentence) => /\?["')]?$/.test(sentence) && !SUPPORT_QUESTION.test(sentence));
  if (question && !ACCOUNTS_SENDER.test(mail.address) && !fromBulk) return ["respond", "asks a direct question"];
  return ["notify", TRANSACTION.test(text) ? "informs about a transaction or a system" : "asks for nothing"];
}

const plain = (text: string) => oneLine(text).toLowerCase().replaceAll("’", "'");

/** Words shared of words used. Only the beginning is compared: examples are shown shortened. */
function nearness(mail: Mail, example: Mail): { shared: number; sameSender: boolean; score: number } {
  const [a, b] = [mail, example].map(({ subject, body }) => new Set(contentWords(`${subject} ${body.slice(0, 750)}`)));
  const both = [...(a ?? [])].filter((word) => b?.has(word)).length;
  const shared = both / Math.max(1, (a?.size ?? 0) + (b?.size ?? 0) - both);
  const sameSender = mail.address === example.address;
  return { shared, sameSender, score: shared + (sameSender ? 0.25 : 0) };
}

function triage(request: ChatRequest): { label: Label; reason: string } {
  const blocks = readBlocks(textsOf(request, "user").at(-1) ?? "");
  const email = blocks.findLast(({ tag }) => tag === "email");
  const examples = blocks.flatMap((block) =>
    block.tag === "example" && block.label ? [{ label: block.label, mail: readMail(block) }] : [],
  );
  const rules = rulesOf(request);
  const [label, why] = email ? decide(readMail(email), rules, examples) : (["notify", "found no email"] as const);
  return { label, reason: `[stand-in] ${why}${unknownRules(rules, "; rules not understood: ", "")}` };
}
