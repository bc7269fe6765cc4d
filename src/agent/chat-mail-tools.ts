import { z } from "zod";
import { oneLine, quoteUntrusted, renderEmail } from "../email.ts";
import { type DecisionRecord, decisionRecordSchema, LABELS } from "../memory/records.ts";
import { userNamespaces } from "../store/namespaces.ts";
import { cut, defineTool, quoteLines } from "./chat-tool.ts";

/** Emails that one call shows, those among which words and labels are looked for, and reviews that one call shows. */
const SHOWN = { emails: 15, among: 500, reviews: 20 };

/** What was handled lately: a stranger wrote most of it. */
export const listEmails = defineTool({
  name: "list_emails",
  description: "Lists the emails that were handled lately, newest first, with their labels and why.",
  schema: z.object({
    words: z.string().nullable().describe("only emails with these words in sender, subject or text; null for all"),
    label: z.enum(LABELS).nullable().describe("only emails of this label; null for all"),
  }),
  async run({ words, label }, { userId, access }) {
    const namespacePrefix = userNamespaces(userId).decisions;
    const [items] = await access.batch([{ namespacePrefix, limit: SHOWN.among }]);
    const wanted = (words ?? "").toLowerCase().match(/\S+/g) ?? [];
    const found = items
      .flatMap(({ value }) => decisionRecordSchema.safeParse(value).data ?? [])
      .filter((each) => label === null || each.label === label)
      .filter(({ email: { from, subject, body } }) => {
        const text = `${from} ${subject} ${body}`.toLowerCase();
        return wanted.every((word) => text.includes(word));
      })
      .sort((a, b) => b.at.localeCompare(a.at));
    if (found.length === 0) return { text: quoteUntrusted("No such email among those that were handled lately.") };
    const lines = found.slice(0, SHOWN.emails).map(renderDecision);
    const more = found.length - lines.length;
    return { text: [...lines, ...(more > 0 ? [`> (${more} more)`] : [])].join("\n"), trust: "mail" };
  },
});

/** One handled email, whole. */
export const readEmail = defineTool({
  name: "read_email",
  description: "Shows one handled email, what was decided about it, and the draft of its answer.",
  schema: z.object({ id: z.string().describe("the id in brackets, as list_emails gives it") }),
  async run({ id }, { userId, learning }) {
    const decision = id.trim() === "" ? undefined : await learning.memory.findDecision(userId, id.trim());
    if (!decision) return { text: "Refused: there is no email of that id; list_emails gives the ids." };
    const { email, draft } = decision;
    const draftLines = draft ? [quoteUntrusted(`Subject: ${oneLine(draft.subject)}\n\n${draft.body}`)] : [];
    return {
      text: [
        renderDecision(decision),
        `The email:\n<email>\n${renderEmail(email)}\n</email>`,
        ...(draft ? [`The draft of the answer, not sent by this:\n<draft>\n${draftLines.join("\n")}\n</draft>`] : []),
      ].join("\n\n"),
      trust: "mail",
    };
  },
});

/** What waits for approval, which `mnemail review` gives. */
export const listReviews = defineTool({
  name: "list_reviews",
  description: "Lists what waits for the person's approval: drafts, meetings, questions, notifications.",
  schema: z.object({}),
  async run(_, { userId, listReviews: list }) {
    const waiting = (await list?.(userId)) ?? [];
    if (waiting.length === 0) return { text: "Nothing waits for the person's approval." };
    const lines = waiting
      .slice(0, SHOWN.reviews)
      .flatMap(({ id, action, email, description, is_expired }) => [
        `> [${id.slice(0, 12)}] ${action.name}${is_expired ? " (expired)" : ""} | ${cut(email.from, 100)} | ${cut(email.subject, 150)}`,
        `>   ${cut(description, 400)}`,
      ]);
    const more = waiting.length > SHOWN.reviews ? [`> (${waiting.length - SHOWN.reviews} more)`] : [];
    return { text: quoteLines([...lines, ...more]), trust: "mail" };
  },
});

function renderDecision({ email, label, reason, at }: DecisionRecord): string {
  const columns = [label, cut(email.from, 100), cut(email.subject || "(no subject)", 150), cut(reason, 200)];
  return quoteUntrusted(`[${oneLine(email.id)}] ${columns.join(" | ")} | ${at.slice(0, 16)}`, 2_000);
}
