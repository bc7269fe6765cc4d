import type { KeptEmail, Rule } from "../memory/records.ts";
import type { Operation } from "../memory/versions.ts";
import { namesIn } from "./check.ts";
import { matches } from "./relabel.ts";

/** A rule with such a word is about more than the addresses it names. */
const EXCEPTION =
  /\b(?:all|any|anyone|anything|else|every|everyone|everything|except|if|instead|like|not|never|no|only|other|others|rest|similar|than|unless|but|without)\b/i;
/** What stands before a name when the rule is about the mail of that name. */
const ABOUT_NAME = /\b(?:from|by|of the list)\s+\S*$/i;

/** What of an email decides whether a rule is about it. */
export type ScopedEmail = Pick<KeptEmail, "from" | "to" | "subject" | "body" | "cc" | "list_id">;

/**
 * Which emails a change can affect. A rule that code wrote affects what its match names. A rule in words affects the
 * emails in which one of the addresses or domains stands that it names after "from", "by" or "of the list", as long as
 * it says nothing of exceptions or others. Any other rule may affect every email.
 */
export function affectedBy(operations: readonly Operation[], before: readonly Rule[]): (email: ScopedEmail) => boolean {
  const rules = operations.flatMap((each): Rule[] => {
    if (each.op === "restore") return [...each.rules, ...before];
    const old = each.op === "add" ? [] : before.filter(({ id }) => id === each.id);
    return each.op === "retire" ? old : [...old, each.rule];
  });
  const scopes = rules.map(scopeOf);
  return (email) => scopes.some((scope) => scope(email));
}

function scopeOf(rule: Rule): (email: ScopedEmail) => boolean {
  const { match, text } = rule;
  if (match) return (email) => matches(match, { ...email, id: "" });
  const names = namesIn(text);
  const lower = text.toLowerCase();
  const isAboutNames = names.every((name) => ABOUT_NAME.test(lower.slice(0, lower.indexOf(name))));
  if (
    names.length === 0 ||
    !isAboutNames ||
    EXCEPTION.test(text.replace(/\b(?:all|any|every) (?:e-?mails?|mails?|messages?) from\b/gi, ""))
  ) {
    return () => true;
  }
  const texts = ({ from, to, cc = "", list_id = "", subject, body }: ScopedEmail) =>
    [from, to, cc, list_id, subject, body].join("\n").toLowerCase();
  return (email) => names.some((name) => texts(email).includes(name.replace(/^@/, "")));
}
