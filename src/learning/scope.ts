import type { KeptEmail, Rule } from "../memory/records.ts";
import type { Operation } from "../memory/versions.ts";
import { namesIn } from "./check.ts";
import { matches } from "./relabel.ts";

/** The form of a rule that is about the mail of some names and nothing else; each name stands as §. */
const ABOUT_NAMES = new RegExp(
  "^(?:(?:always|please),? )*" +
    "(?:ignore|skip|label|answer|respond to|reply to|notify me (?:about|of)|tell me about) " +
    "(?:all |any |every )?(?:of )?(?:the |my )?(?:e-?mails?|mails?|messages?|newsletters?|notifications?|everything) " +
    '(?:from|by) §(?:(?:,| and|, and| or|, or) (?:from |by )?§)*(?: as "?(?:ignore|notify|respond)"?)?[.!]?$',
  "i",
);

/** What of an email decides whether a rule is about it. */
export type ScopedEmail = Pick<KeptEmail, "from" | "to" | "subject" | "body" | "cc" | "list_id">;

/**
 * Which emails a change can affect. A rule that code wrote affects what its match names. A rule of the closed form
 * "Ignore emails from NAME, NAME and NAME" affects the emails in which one of these addresses or domains stands. Any other rule may affect every
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
  if (names.length === 0 || !ABOUT_NAMES.test(form)) return () => true;
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
