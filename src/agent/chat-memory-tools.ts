import { z } from "zod";
import { oneLine, quoteUntrusted } from "../email.ts";
import { learn } from "../learning/learn.ts";
import { remember } from "../learning/remember.ts";
import { cleanContent } from "../memory/episodic.ts";
import type { Change, Receipt } from "../memory/feedback-record.ts";
import { liveVersion } from "../memory/history.ts";
import { CONTENT_LIMIT } from "../memory/memory-record.ts";
import { renderMemories, withinBudget } from "../memory/recall.ts";
import type { Trust } from "../memory/trust.ts";
import { hashText, LEARNABLE_PROMPTS } from "../prompts.ts";
import { isSaid, isSpokenOf, wholeSentences } from "./chat-evidence.ts";
import type { ChatChange } from "./chat-state.ts";
import { type ChatToolContext, type ChatToolResult, defineTool, quoteLines } from "./chat-tool.ts";

const MOST_FOUND = 10;

/** LangMem's tool of that name over all that is remembered; a stranger's words may be among it. */
export const searchMemory = defineTool({
  name: "search_memory",
  description: "Searches what is remembered about people, projects and conversations.",
  schema: z.object({ query: z.string() }),
  async run({ query }, { userId, learning }) {
    const found = await learning.memory.facts.search(userId, { query, limit: MOST_FOUND });
    const shown = withinBudget(found);
    if (shown.length === 0) return { text: quoteUntrusted("Nothing is known about that.") };
    const isUsers = shown.every(({ record }) => record.trust === "user");
    return { text: renderMemories(shown), ...(isUsers ? {} : { trust: "mail" }) };
  },
});

/** LangMem's tool of that name: live at once where the user said it and nobody else spoke, else it waits for them. */
export const manageMemory = defineTool({
  name: "manage_memory",
  description: "Creates, updates or deletes one memory that persists across conversations.",
  schema: z.object({
    content: z.string().nullable().describe("what to remember, in one sentence; null to delete"),
    action: z.enum(["create", "update", "delete"]),
    id: z.string().nullable().describe("the id of the memory to update or delete; null to create"),
  }),
  async run({ content, action, id }, context) {
    const { userId, userTexts, trust, learning } = context;
    const at = learning.now().toISOString();
    const kept = cleanContent(content ?? "");
    if (action !== "create" && !id) return { text: `Refused: ${action} needs the id of a memory.` };
    if (action !== "delete" && (kept === "" || kept.length > CONTENT_LIMIT)) {
      return { text: `Refused: content must be a sentence of at most ${CONTENT_LIMIT} characters.` };
    }
    const target = action === "create" ? undefined : await learning.memory.facts.find(userId, id ?? "");
    const isNamed = action === "create" || (target !== undefined && isSpokenOf(target.record.content, userTexts));
    const isLive = trust === "user" && isNamed && (action === "delete" || isSaid(kept, userTexts));
    if (!isLive || (target && target.record.kind !== "fact")) {
      return propose({ action, content: action === "delete" ? null : kept, id }, at, context);
    }
    if (action === "delete") {
      const { key, content: gone } = await learning.memory.facts.retire(userId, id ?? "", at);
      return {
        text: `deleted memory ${key}`,
        changes: [{ what: "no longer remembered", id: key, text: gone }],
      };
    }
    const fact = { content: kept, ...(target ? { scope: target.record.scope, people: target.record.people } : {}) };
    const { key, status, superseded } = await remember(userId, fact, learning);
    const old = action === "update" && id !== null && id !== key ? [id] : [];
    const replaced = superseded.map((each) => each.key);
    for (const each of old.filter((one) => !replaced.includes(one))) {
      await learning.memory.facts.retire(userId, each, at);
    }
    const told = status === "known" ? `memory ${key} says so already` : `${action}d memory ${key}`;
    return { text: told, changes: [{ what: "remembered", id: key, text: kept }] };
  },
});

/** What may hold more than the user's words waits for them. */
async function propose(
  request: { action: "create" | "update" | "delete"; content: string | null; id: string | null },
  at: string,
  { userId, trust, learning }: ChatToolContext,
): Promise<ChatToolResult> {
  const said = await learning.memory.pending.propose(userId, request, at);
  const [key] = /^proposed memory (pending-\w+)/.exec(said)?.slice(1) ?? [];
  if (key === undefined) return { text: said };
  const why = trust === "mail" ? "this conversation holds words of others" : "it is not in the person's own words";
  return {
    text: `${said}, since ${why}`,
    changes: [{ what: "waits for approval", id: key, text: request.content ?? "" }],
  };
}

/** What the user taught. */
export const showRules = defineTool({
  name: "show_rules",
  description: "Shows what the person taught: the rules of each prompt, and the version it is at.",
  schema: z.object({}),
  async run(_, { userId, learning }) {
    const histories = await learning.memory.ledger.histories(userId);
    let trust: Trust = "user";
    const lines = LEARNABLE_PROMPTS.flatMap((name) => {
      const { number, state } = liveVersion(histories[name].versions);
      // What a relabel made names a stranger's address, domain or list; another program may have written anything.
      const isOthers = ({ match, origin }: (typeof state.rules)[number]) => match || origin.actor === "another program";
      if (state.rules.some(isOthers)) trust = "mail";
      const rules = state.rules.map(({ text }) => `>   - ${oneLine(text)}`);
      return [`> ${name}, version ${number}${rules.length === 0 ? ": no rules learnt" : ":"}`, ...rules];
    });
    return { text: quoteLines(lines), trust };
  },
});

/** The user's own sentences as feedback; learnt once, however often a run is repeated. */
export const giveFeedback = defineTool({
  name: "give_feedback",
  description: "Learns from what the person just said about how email is to be sorted or answered.",
  schema: z.object({ text: z.string().describe("whole sentences of the person's last message, letter for letter") }),
  async run({ text }, { userId, userTexts, messageId, learning }) {
    const said = wholeSentences(text, userTexts.at(-1) ?? "");
    if (said === undefined) {
      return { text: "Refused: the text must be whole sentences of the person's last message, letter for letter." };
    }
    const id = `chat-${hashText(`${messageId} ${said}`)}`;
    const { receipt } = await learn(userId, { kind: "text", text: said, id, channel: "chat" }, learning);
    return { text: renderReceipt(receipt), changes: receipt.changes.flatMap(toChange) };
  },
});

function renderReceipt({ changes, notes, gate }: Receipt): string {
  const lines = [
    ...changes.map((change) => `> ${change.kind} ${change.status}: ${describe(change)}`),
    ...notes.map((each) => `> ${each}`),
    ...(gate?.verdict === "proposed" ? ["> it waits for `mnemail memory accept`, since its test did not pass"] : []),
  ];
  return lines.length === 0 ? "Nothing changed." : quoteLines(lines);
}

/** In the user's words only: what a fact took the place of may be a stranger's. */
function describe(change: Change): string {
  if (change.kind === "example") return `the label ${change.label}`;
  const where = change.kind === "rule" ? ` (${change.prompt})` : "";
  return `${oneLine((change.kind === "rule" ? (change.text ?? change.was) : change.text) ?? "")}${where}`;
}

function toChange(change: Change): ChatChange[] {
  if (change.status === "known") return [];
  const id = change.kind === "rule" ? (change.proposal === null ? null : String(change.proposal)) : change.key;
  const isRetired = change.kind === "rule" ? change.action === "retire" : change.status === "retired";
  const learnt = isRetired ? ("no longer remembered" as const) : ("learnt" as const);
  return [{ what: change.status === "proposed" ? "proposed" : learnt, id, text: describe(change) }];
}
