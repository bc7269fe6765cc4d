import { describeError } from "../log-error.ts";

/** A failure in a line for the operator: its code, and what the log tells of it. No text of mail. */
export function describeFailure(error: unknown): string {
  const { name, code, message, at } = describeError(error, { isOpen: false });
  const known = [code ?? name, message, at].filter((each) => typeof each === "string");
  return known.join(", ") || "for a reason that the log tells";
}

/** Lines that quote nothing after their colon. */
const PLAIN = [/^records that cannot be read are left out: \d+$/, /: an idle connection was lost \(/];

/**
 * A warning of the parts of the assistant without what it quotes: behind their first colon they tell what failed, in
 * words of models and providers, which can be those of mail.
 */
export function withoutQuoted(line: string): string {
  if (PLAIN.some((form) => form.test(line))) return line;
  // The id of an email is its sender's choice, and can have a colon.
  const named = line.replace(
    /^facts of (?!emails are).* are not extracted: .*$/s,
    "facts of an email are not extracted: ",
  );
  return named.replace(/: .*$/s, ": …");
}
