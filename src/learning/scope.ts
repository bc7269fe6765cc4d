import type { KeptEmail, Rule } from "../memory/records.ts";
import type { Operation } from "../memory/versions.ts";
import { namesIn } from "./check.ts";
import { matches } from "./relabel.ts";

/** A rule with such a word before its names is about more than they are. */
const MORE =
  /\b(?:and|anyone|anything|else|except|everyone|everything|if|instead|like|never|no|not|only|or|other|others|rest|similar|than|unless|but|without)\b/i;
/** The form of a rule that is about the mail of some names and nothing else; each name stands as §. */
const ABOUT_NAMES =
  /^[\p{L}\s'’]*\b(?:from|by) §(?:(?:,| and|, and| or|, or) (?:from |by )?§)*(?: as "?(?:ignore|notify|respond)"?)?[.!]?$/iu;

/** What of an email decides whether a rule is about it. */
export type ScopedEmail = Pick<KeptEmail, "from" | "to" | "subject" | "body" | "cc" | "list_id">;

/**
 * Which emails a change can affect. A rule that code wrote affects what its match names. A rule of the form "… from NAME,
 * NAME and NAME" affects the emails in which one of these addresses or domains stands. Any other rule may affect every
 * email.
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
  const form = names.reduce((rest, name) => rest.replace(name, "§"), text.toLowerCase());
  if (names.length === 0 || !ABOUT_NAMES.test(form) || MORE.test(form.slice(0, form.indexOf("§")))) return () => true;
  // A domain counts with its subdomains; a name within a longer word is another name.
  const found = names.map(
    (name) => new RegExp(`(?<![a-z0-9-])${escapeRegExp(name.replace(/^@/, ""))}(?![a-z0-9-]|\\.[a-z0-9])`),
  );
  return ({ from, to, cc = "", list_id = "", subject, body }) => {
    const text = [from, to, cc, list_id, subject, body].join("\n").toLowerCase();
    return found.some((name) => name.test(text));
  };
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
