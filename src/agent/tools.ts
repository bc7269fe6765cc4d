import { z } from "zod";
import { addressList, type Email, firstAddress, quoteUntrusted, senderAddress } from "../email.ts";
import { loadCalendar, renderAvailability } from "../mail/calendar.ts";
import { renderMemories } from "../memory/episodic.ts";
import type { Memory } from "../memory/memory.ts";
import type { Draft, ProposedEvent } from "../memory/records.ts";

const SEARCH_LIMIT = 5;
const CONTENT_LIMIT = 2_000;

/** What a tool works on: one email of one user. */
export interface ToolContext {
  userId: string;
  email: Email;
  memory: Memory;
  calendarPath: string | undefined;
  now: Date;
}

/** What a tool did: the text the model is told, and what is recorded in the state. */
export interface ToolResult {
  text: string;
  draft?: Draft;
  event?: ProposedEvent;
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
      return { text: `Refused: the recipient must be ${sender}, the sender of the email.` };
    }
    if (body.trim() === "") return { text: "Refused: the body is empty." };
    return { text: "Draft recorded.", draft: { to: sender, subject: oneLine(subject) || replySubject(email), body } };
  },
});

const checkCalendar = defineTool({
  name: "check_calendar_availability",
  description: "Lists the free times of up to seven days, in the user's time zone and working hours.",
  schema: z.object({ days: z.array(z.string().describe("YYYY-MM-DD")) }),
  async run({ days }, { userId, memory, calendarPath }) {
    if (calendarPath === undefined) {
      return { text: "No calendar is configured: propose no time; say that a time will follow." };
    }
    // The reason names an event, which the draft must not; who runs the program is told at start.
    const calendar = await loadCalendar(calendarPath).catch(() => undefined);
    if (calendar === undefined)
      return { text: "The calendar cannot be read: propose no time; say that one will follow." };
    const profile = await memory.readProfile(userId);
    const found = calendar.availability(days, { timeZone: profile.time_zone, workingHours: profile.working_hours });
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
    const stranger = attendees.find((attendee) => !allowed.has(firstAddress(attendee) ?? ""));
    if (stranger !== undefined) return { text: `Refused: ${oneLine(stranger)} is not in From, To or Cc of the email.` };
    if (!/^\d{4}-\d\d-\d\dT\d\d:\d\d$/.test(start) || Number.isNaN(Date.parse(start))) {
      return { text: "Refused: start must be local time as YYYY-MM-DDTHH:MM." };
    }
    if (!Number.isInteger(duration_minutes) || duration_minutes < 5 || duration_minutes > 1_440) {
      return { text: "Refused: duration_minutes must be a whole number from 5 to 1440." };
    }
    return {
      text: "Event proposed to the user.",
      event: { title: oneLine(title), attendees, start, duration_minutes },
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
    id: z.string().nullable().describe("The id of the proposal to update or delete; null to create"),
  }),
  async run({ content, action, id }, { userId, email, memory, now }) {
    const kept = content === null ? null : oneLine(content);
    if (action !== "delete" && (kept === null || kept === "" || kept.length > CONTENT_LIMIT)) {
      return { text: `Refused: content must be a sentence of at most ${CONTENT_LIMIT} characters.` };
    }
    if (action === "create") {
      const key = await memory.proposeFact(userId, kept ?? "", email, now.toISOString());
      return { text: `Proposed to the user as ${key}.` };
    }
    const revised = id !== null && (await memory.reviseProposal(userId, id, action === "delete" ? null : kept));
    return {
      text: revised ? `Done: ${action} ${id}.` : "Refused: only a proposal that waits for the user can be changed.",
    };
  },
});

const searchMemory = defineTool({
  name: "search_memory",
  description: "Searches what is known about people, projects and conversations.",
  schema: z.object({ query: z.string() }),
  async run({ query }, { userId, memory }) {
    const found = query.trim() === "" ? [] : await memory.searchFacts(userId, query, SEARCH_LIMIT);
    return { text: found.length > 0 ? renderMemories(found) : quoteUntrusted("Nothing is known about that.") };
  },
});

/** The tools of the answering step, by their names. */
export const AGENT_TOOLS: ReadonlyMap<string, AgentTool> = new Map(
  [writeEmail, checkCalendar, scheduleMeeting, manageMemory, searchMemory].map((tool) => [tool.name, tool]),
);

function oneLine(text: string): string {
  return text.replace(/\s+/g, " ").trim();
}

function replySubject(email: Email): string {
  return /^re:/i.test(email.subject) ? email.subject : `Re: ${email.subject}`;
}
