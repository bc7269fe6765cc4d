import type { Email } from "../src/email.ts";
import { openInbox } from "../src/mail/inbox.ts";

/** The emails of the sample week, in order. @throws Error when one cannot be read. */
export async function loadWeek(): Promise<Email[]> {
  const emails: Email[] = [];
  for await (const entry of (await openInbox("samples/week")).entries()) {
    if (entry.status === "unreadable") throw entry.error;
    emails.push(entry.email);
  }
  return emails;
}

/**
 * The same email once more, of a conversation of its own: another text of the same length, so that no vector of it is known
 * yet. `number` is below a million.
 */
export function anew(email: Email, number: number): Email {
  const mark = String(number).padStart(6, "0");
  const { id, thread_id, body } = email;
  return { ...email, id: `${mark}.${id}`, thread_id: `${mark}.${thread_id ?? id}`, body: `No. ${mark}\n\n${body}` };
}
