import type { Email } from "../email.ts";
import { hashText } from "../prompts.ts";

/**
 * The LangGraph thread of an email: one for each conversation of a user, so that an answer and what comes after it are
 * seen together; `n` counts further threads of one, where the first cannot be used. A UUID, which the LangGraph server
 * asks of thread ids, made of a hash (version 8 of RFC 9562).
 */
export function threadIdFor(
  userId: string,
  { id, thread_id, references, message_id }: Pick<Email, "id" | "thread_id" | "references" | "message_id">,
  n = 0,
): string {
  // RFC 5322 §3.6.4: the first reference is the email that began the conversation.
  const conversation = thread_id ?? references?.[0] ?? message_id ?? id;
  const hash = hashText(JSON.stringify(n === 0 ? [userId, conversation] : [userId, conversation, n]), 32);
  const [a, b, c, d, e] = [hash.slice(0, 8), hash.slice(8, 12), hash.slice(13, 16), hash.slice(17, 20), hash.slice(20)];
  return `${a}-${b}-8${c}-a${d}-${e}`;
}
