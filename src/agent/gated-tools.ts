import { z } from "zod";
import { addressList, cleanText, type Email, isPlainAddress, oneLine, senderAddress } from "../email.ts";
import { parseJson } from "../parse-json.ts";

/** Characters: what a user edits is learnt from, and feedback takes no longer draft. */
const BODY_LIMIT = 20_000;
const LINE_LIMIT = 500;

/** What a call asks for, checked and cleaned, or why it is refused, in a sentence for the model and the user. */
export type Checked = { args: Record<string, unknown> } | { refused: string };

type Headers = Pick<Email, "from" | "to" | "cc" | "subject">;

/** A tool whose calls are done only after the user approved exactly what they ask for. */
export interface GatedTool {
  name: string;
  description: string;
  schema: z.ZodObject;
  /** What the model is told when its call waits for the user. */
  waiting: string;
  /** Whether the email can be answered without more of the model: the user reads what there is. */
  ends: boolean;
  /** Checks the arguments of a call against the email it is about. The same for the model's and for an edit of the user. */
  check(args: unknown, email: Headers): Checked;
}

function defineGated<S extends z.ZodObject>(tool: {
  name: string;
  description: string;
  schema: S;
  waiting: string;
  ends: boolean;
  check(args: z.output<S>, email: Headers): Checked;
}): GatedTool {
  const { schema } = tool;
  return {
    ...tool,
    check(args, email) {
      const parsed = schema.safeParse(args);
      if (parsed.success) return tool.check(parsed.data, email);
      const [issue] = parsed.error.issues;
      const names = Object.keys(schema.shape).join(", ");
      return { refused: `${issue?.path.join(".") || "arguments"}: ${issue?.message}; expected ${names}` };
    },
  };
}

const writeEmail = defineGated({
  name: "write_email",
  description:
    "Records the draft of the answer. Nothing is sent before the user approves. Call it once, in the last step.",
  waiting: "Draft recorded.",
  ends: true,
  schema: z.object({
    to: z.string().describe("The sender of the email that is answered"),
    subject: z.string(),
    body: z.string().describe("The whole text of the answer, with greeting and closing"),
  }),
  check({ to, subject, body }, email) {
    const sender = senderAddress(email);
    // The outbox writes to no other address: nothing may wait for the user that cannot be done.
    if (!isPlainAddress(sender)) {
      return { refused: "the email cannot be answered: its sender is not one plain address such as ada@example.com." };
    }
    const recipients = addressList(to);
    // A recipient that only the email's text names could leak what the draft says.
    if (recipients.length !== 1 || recipients[0] !== sender) {
      return { refused: "the recipient must be the sender of the email, and nobody else." };
    }
    // What the user is shown for approval is what will be sent: no invisible characters in between.
    const visible = { subject: oneLine(cleanText(subject)), body: cleanText(body) };
    if (visible.body.trim() === "") return { refused: "the body is empty." };
    if (visible.body.length > BODY_LIMIT) {
      return { refused: `the body has ${visible.body.length} characters; at most ${BODY_LIMIT} are allowed.` };
    }
    if (visible.subject.length > LINE_LIMIT) return { refused: `the subject has over ${LINE_LIMIT} characters.` };
    return { args: { to: sender, subject: visible.subject || replySubject(email), body: visible.body } };
  },
});

const scheduleMeeting = defineGated({
  name: "schedule_meeting",
  description: "Proposes an event to the user. The calendar is not changed until the user approves.",
  waiting: "Event proposed to the user.",
  ends: false,
  schema: z.object({
    title: z.string(),
    attendees: z.array(z.string().describe("addresses from the email's From, To or Cc")),
    start: z.string().describe("local start, YYYY-MM-DDTHH:MM"),
    duration_minutes: z.number(),
  }),
  check({ title, attendees, start, duration_minutes }, email) {
    const allowed = new Set([email.from, email.to, email.cc ?? ""].flatMap(addressList));
    const parsed = attendees.map(addressList);
    if (!parsed.every((addresses) => addresses.length === 1 && allowed.has(addresses[0] ?? ""))) {
      return { refused: "each attendee must be one address from From, To or Cc of the email." };
    }
    if (!parsed.flat().every(isPlainAddress)) {
      return { refused: "an attendee is not one plain address such as ada@example.com: leave it out." };
    }
    const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(start) && !Number.isNaN(Date.parse(`${start}Z`));
    if (!isTime || !new Date(`${start}Z`).toISOString().startsWith(start)) {
      return { refused: "start must be a local time that exists, as YYYY-MM-DDTHH:MM." };
    }
    if (!Number.isInteger(duration_minutes) || duration_minutes < 5 || duration_minutes > 1_440) {
      return { refused: "duration_minutes must be a whole number from 5 to 1440." };
    }
    const visible = oneLine(cleanText(title));
    if (visible === "") return { refused: "the title is empty." };
    if (visible.length > LINE_LIMIT) return { refused: `the title has over ${LINE_LIMIT} characters.` };
    return { args: { title: visible, attendees: [...new Set(parsed.flat())], start, duration_minutes } };
  },
});

const askUser = defineGated({
  name: "ask_user",
  description:
    "Asks the user what only they can know and the answer cannot do without. Use it rarely, and never with write_email.",
  waiting: "The user is asked.",
  ends: true,
  schema: z.object({ question: z.string().describe("One question, in a sentence") }),
  check({ question }) {
    const visible = oneLine(cleanText(question));
    if (visible === "") return { refused: "the question is empty." };
    if (visible.length > LINE_LIMIT) return { refused: `the question has over ${LINE_LIMIT} characters.` };
    return { args: { question: visible } };
  },
});

/** The tools that wait for the user, by their names. */
export const GATED_TOOLS: ReadonlyMap<string, GatedTool> = new Map(
  [writeEmail, scheduleMeeting, askUser].map((tool) => [tool.name, tool]),
);

/**
 * Checks the arguments that a user gives an action in place of the model's. Fields that are left out stay as they were;
 * text where the tool has a number or a list is read as such, since forms of inboxes know only text.
 */
export function checkEdit(
  name: string,
  args: Record<string, unknown>,
  before: Record<string, unknown>,
  email: Headers,
) {
  const tool = GATED_TOOLS.get(name);
  if (!tool || name === "ask_user") return { refused: `${name} cannot be edited.` } satisfies Checked;
  const unknown = Object.keys(args).filter((key) => !Object.hasOwn(tool.schema.shape, key));
  if (unknown.length > 0) {
    return {
      refused: `${unknown.join(", ")}: not a field of ${name}, which has ${Object.keys(tool.schema.shape).join(", ")}.`,
    };
  }
  const read = Object.fromEntries(Object.entries(args).map(([key, value]) => [key, readField(value, before[key])]));
  return tool.check({ ...before, ...read }, email);
}

function readField(value: unknown, before: unknown): unknown {
  if (typeof value !== "string") return value;
  if (typeof before === "number" && /^\s*\d+\s*$/.test(value)) return Number(value);
  if (!Array.isArray(before)) return value;
  const list = z.array(z.string()).safeParse(parseJson(value));
  return list.success ? list.data : value.split(/[,;\n]/).flatMap((each) => each.trim() || []);
}

function replySubject(email: Headers): string {
  return /^re:/i.test(email.subject) ? email.subject : `Re: ${email.subject}`;
}
