import { type AutomaticReason, automaticByHeaders, type Email, senderAddress } from "../email.ts";

/** `noreply`, `no-reply`, `do_not_reply`, `donotreply` as a word of its own: `drive-noreply`, but not `bruno-reply`. */
const NO_REPLY = /(?:^|[^a-z])(?:no|not|do[^a-z]?not|don[^a-z]?t)[^a-z]?repl(?:y|ies)(?:[^a-z]|$)/;
/** RFC 3834 §2 names the first three; RFC 5321 §4.5.1 and §4.5.5 the postmaster and the reports that come from it. */
const MAIL_SYSTEM =
  /^(?:mailer-daemon|owner-.+|.+-request|postmaster|mail-?daemon|listserv|majordomo|bounces?(?:[^a-z].*)?|.*[^a-z]bounces?)$/;

/**
 * Why nobody should answer an email, since no person would read it or two machines would answer each other (RFC 3834);
 * undefined for mail of people. Besides the headers, which are in `email.automatic`, the list and the sender's address
 * count.
 */
export function automaticReason(email: Pick<Email, "from" | "list_id" | "automatic">): AutomaticReason | undefined {
  if (email.automatic !== undefined) return email.automatic;
  if (email.list_id !== undefined) return "it comes from a mailing list";
  const address = senderAddress(email);
  const at = address.lastIndexOf("@");
  // Some write it as the host: users.noreply.example.
  if (NO_REPLY.test(address.slice(0, at)) || NO_REPLY.test(address.slice(at + 1))) {
    return "its sender's address takes no answers";
  }
  return MAIL_SYSTEM.test(address.slice(0, at)) ? "its sender is a mail system" : undefined;
}

/**
 * Why the headers of a message make it automatic mail. Not among them is Feedback-ID: some providers write it into the
 * mail of persons, too.
 */
export function automaticByMimeHeaders(
  headers: readonly { key: string; value: string }[],
): AutomaticReason | undefined {
  const value = (name: string) => headers.find(({ key }) => key === name)?.value.trim();
  const has = (name: string) => (value(name) ?? "") !== "";
  if (has("x-autoreply") || has("x-autorespond")) return "it is an automatic answer";
  // RFC 6522: reports of failed delivery (RFC 3464) and of receipt (RFC 8098).
  if (/^multipart\/report\b/i.test(value("content-type") ?? "")) return "it is a report about delivery or receipt";
  const named = automaticByHeaders({ auto_submitted: value("auto-submitted"), precedence: value("precedence") });
  if (named !== undefined) return named;
  if (["list-id", "list-unsubscribe", "list-post"].some(has)) return "it comes from a mailing list";
  // RFC 5321 §4.5.5: the empty path of what must not be answered.
  if (/^<\s*>$/.test(value("return-path") ?? "")) return "answers to it reach nobody";
  // Exchange: the other values (DR, RN, NRN) concern receipts only.
  return /\b(?:All|OOF|AutoReply)\b/i.test(value("x-auto-response-suppress") ?? "")
    ? "its headers ask for no automatic answers"
    : undefined;
}
