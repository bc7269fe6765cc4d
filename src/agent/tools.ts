import { randomUUID } from "node:crypto";
import { z } from "zod";
import { type Email, quoteUntrusted } from "../email.ts";
import { loadCalendar, renderAvailability } from "../mail/calendar.ts";
import { cleanContent } from "../memory/episodic.ts";
import type { Memory } from "../memory/memory.ts";
import { CONTENT_LIMIT } from "../memory/memory-record.ts";
import { renderMemories, usedMemories, withinBudget } from "../memory/recall.ts";
import type { ProposedFact, UsedMemory } from "../memory/records.ts";

const SEARCH_LIMIT = 5;

/** What a tool works on: one email of one user. */
export interface ToolContext {
  userId: string;
  email: Email;
  memory: Memory;
  calendarPath: string | undefined;
  proposals: readonly ProposedFact[];
  /** What of memory the model was shown for this email. */
  memories: readonly UsedMemory[];
}

/** A fact that the model wants to keep, under a new id or one it gave before; without content, that it does not. */
export type ProposalChange = Omit<ProposedFact, "content"> & { content: string | null };

/** What a tool did: the text the model is told, and what is recorded in the state; nothing is written before the end. */
export interface ToolResult {
  text: string;
  /** What the model wants to remember of this email, or takes back: a fact without content. */
  proposals?: ProposalChange[];
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
      return { text: `Will be proposed to the user as ${fact.id}.`, proposals: [fact] };
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
        proposals: [fact],
      };
    }
    const changed = proposals.filter((fact) => fact.id === id);
    const revised = action === "update" ? kept : null;
    return { text: `Done: ${action}.`, proposals: changed.map((fact) => ({ ...fact, content: revised })) };
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

/** The tools of the answering step that run at once, since they change nothing; by their names. */
export const AGENT_TOOLS: ReadonlyMap<string, AgentTool> = new Map(
  [checkCalendar, manageMemory, searchMemory].map((tool) => [tool.name, tool]),
);
