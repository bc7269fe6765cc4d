import { randomUUID } from "node:crypto";
import { z } from "zod";
import { addressList, cleanText, type Email, oneLine, quoteUntrusted, senderAddress } from "../email.ts";
import { loadCalendar, renderAvailability } from "../mail/calendar.ts";
import { cleanContent } from "../memory/episodic.ts";
import type { Memory } from "../memory/memory.ts";
import { CONTENT_LIMIT } from "../memory/memory-record.ts";
import { renderMemories, usedMemories, withinBudget } from "../memory/recall.ts";
import type { Draft, ProposedEvent, ProposedFact, UsedMemory } from "../memory/records.ts";

const SEARCH_LIMIT = 5;

/** What a tool works on: one email of one user. */
export interface ToolContext {
  userId: string;
  email: Email;
  memory: Memory;
  calendarPath: string | undefined;
  proposals: ProposedFact[];
  /** What of memory the model was shown for this email. */
  memories: readonly UsedMemory[];
}

/** What a tool did: the text the model is told, and what is recorded in the state; nothing is written before the end. */
export interface ToolResult {
  text: string;
  draft?: Draft;
  event?: ProposedEvent;
  /** All that the model wants to remember of this email so far. */
  proposals?: ProposedFact[];
  /** What it found in memory. */
  memories?: UsedMemory[];
}

/** A tool of the assistant. Its schema is strict: what may be left out is nullable. */
export interface AgentTool {
  name: string;
  description: string;
  schema: z.ZodObject;
  /** Parses the model's arguments and runs. @throws ZodError for arguments of another shape. */
  call(args: unknown, context: ToolContext): Promise<ToolResult>;
}

function defineTool<S extends z.ZodObject>(tool: {
  name: string;
  description: string;
  schema: S;
  run(args: z.output<S>, context: ToolContext): Promise<ToolResult>;
}): AgentTool {
  const { name, description, schema } = tool;
  return { name, description, schema, call: (args, context) => tool.run(schema.parse(args), context) };
}

const writeEmail = defineTool({
  name: "write_email",
  description: "Records the draft of the answer. Nothing is sent. Call it exactly once, in the last step.",
  schema: z.object({
    to: z.string().describe("The sender of the email that is answered"),
    subject: z.string(),
    body: z.string().describe("The whole text of the answer, with greeting and closing"),
  }),
  async run({ to, subject, body }, { email }) {
    const sender = senderAddress(email);
    const recipients = addressList(to);
    // A recipient that only the email's text names could leak what the draft says.
    if (recipients.length !== 1 || recipients[0] !== sender) {
      return { text: "Refused: the recipient must be the sender of the email, and nobody else." };
    }
    // What the user is shown for approval is what will be sent: no invisible characters in between.
    const visible = { subject: oneLine(cleanText(subject)), body: cleanText(body) };
    if (visible.body.trim() === "") return { text: "Refused: the body is empty." };
    return {
      text: "Draft recorded.",
      draft: { to: sender, subject: visible.subject || replySubject(email), body: visible.body },
    };
  },
});

const checkCalendar = defineTool({
  name: "check_calendar_availability",
  description: "Lists the free times of up to seven days, in the user's time zone and working hours.",
  schema: z.object({ days: z.array(z.string().describe("YYYY-MM-DD")) }),
  async run({ days }, { userId, email, memory, calendarPath }) {
    if (calendarPath === undefined) {
      return { text: "No calendar is configured: propose no time; say that a time will follow." };
    }
    // The reason names an event, which a draft must not; openAssistant told it to who runs the program.
    const calendar = await loadCalendar(calendarPath).catch(() => undefined);
    if (calendar === undefined) {
      return { text: "The calendar cannot be read: propose no time; say that one will follow." };
    }
    const { profile, proposed } = await memory.readCalendar(userId, email.id);
    const { time_zone: timeZone, working_hours: workingHours } = profile;
    const found = calendar.availability(days, { timeZone, workingHours, taken: proposed });
    return { text: renderAvailability(found) };
  },
});

const scheduleMeeting = defineTool({
  name: "schedule_meeting",
  description: "Proposes an event to the user. The calendar is not changed until the user approves.",
  schema: z.object({
    title: z.string(),
    attendees: z.array(z.string().describe("addresses from the email's From, To or Cc")),
    start: z.string().describe("local start, YYYY-MM-DDTHH:MM"),
    duration_minutes: z.number(),
  }),
  async run({ title, attendees, start, duration_minutes }, { email }) {
    const allowed = new Set([email.from, email.to, email.cc ?? ""].flatMap(addressList));
    const parsed = attendees.map(addressList);
    if (!parsed.every((addresses) => addresses.length === 1 && allowed.has(addresses[0] ?? ""))) {
      return { text: "Refused: each attendee must be one address from From, To or Cc of the email." };
    }
    const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(start) && !Number.isNaN(Date.parse(`${start}Z`));
    if (!isTime || !new Date(`${start}Z`).toISOString().startsWith(start)) {
      return { text: "Refused: start must be a local time that exists, as YYYY-MM-DDTHH:MM." };
    }
    if (!Number.isInteger(duration_minutes) || duration_minutes < 5 || duration_minutes > 1_440) {
      return { text: "Refused: duration_minutes must be a whole number from 5 to 1440." };
    }
    return {
      text: "Event proposed to the user.",
      event: { title: oneLine(cleanText(title)), attendees: [...new Set(parsed.flat())], start, duration_minutes },
    };
  },
});

const manageMemory = defineTool({
  name: "manage_memory",
  description:
    "Proposes something worth knowing later about a person or a conversation. It is used only after the user approved it.",
  schema: z.object({
    content: z.string().nullable().describe("What to remember, in one sentence; null to delete"),
    action: z.enum(["create", "update", "delete"]),
    id: z
      .string()
      .nullable()
      .describe("The id of the proposal to update or delete, or of the memory that is no longer true; null to create"),
  }),
  async run({ content, action, id }, { proposals, memories }) {
    const kept = cleanContent(content ?? "");
    if (action !== "delete" && (kept === "" || kept.length > CONTENT_LIMIT)) {
      return { text: `Refused: content must be a sentence of at most ${CONTENT_LIMIT} characters.` };
    }
    if (action === "create") {
      const fact = { id: `proposal-${randomUUID().slice(0, 8)}`, content: kept };
      return { text: `Will be proposed to the user as ${fact.id}.`, proposals: [...proposals, fact] };
    }
    if (!proposals.some((fact) => fact.id === id)) {
      const isShown = memories.some(({ kind, key }) => kind === "episodic" && key === id);
      if (action === "delete" || id === null || !isShown) {
        return {
          text: "Refused: only what you were shown can be updated, and only what was proposed for this email deleted.",
        };
      }
      const fact = { id: `proposal-${randomUUID().slice(0, 8)}`, content: kept, supersedes: id };
      return {
        text: `Will be proposed to the user as ${fact.id}, in the place of ${id}.`,
        proposals: [...proposals, fact],
      };
    }
    const others = proposals.filter((fact) => fact.id !== id);
    const revised = proposals.flatMap((fact) => (fact.id === id ? { ...fact, content: kept } : fact));
    return { text: `Done: ${action}.`, proposals: action === "update" ? revised : others };
  },
});

const searchMemory = defineTool({
  name: "search_memory",
  description: "Searches what is known about the sender, and what holds for everybody.",
  schema: z.object({ query: z.string() }),
  async run({ query }, { userId, email, memory }) {
    // What is known of others is not for the sender of this email, to whom the answer goes.
    const found = withinBudget(await memory.facts.search(userId, { query, email, limit: SEARCH_LIMIT }));
    if (found.length === 0) return { text: quoteUntrusted("Nothing is known about that.") };
    return { text: renderMemories(found), memories: usedMemories(found) };
  },
});

/** The tools of the answering step, by their names. */
export const AGENT_TOOLS: ReadonlyMap<string, AgentTool> = new Map(
  [writeEmail, checkCalendar, scheduleMeeting, manageMemory, searchMemory].map((tool) => [tool.name, tool]),
);

function replySubject(email: Email): string {
  return /^re:/i.test(email.subject) ? email.subject : `Re: ${email.subject}`;
}
