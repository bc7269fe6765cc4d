import { tool } from "@langchain/core/tools";
import type { BaseStore } from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { userIdOf } from "./agent/state.ts";
import { MnemailError, renderError } from "./errors.ts";
import { StoreAccess } from "./memory/access.ts";
import { Facts } from "./memory/facts.ts";
import { Pending } from "./memory/pending.ts";
import { scopeSchema } from "./memory/scope.ts";
import type { Trust } from "./memory/trust.ts";
import { adaptStore } from "./store/encoded-labels.ts";

const ACTIONS = ["create", "update", "delete"] as const;
const SEARCH_LIMIT = 100;

/** What both memory tools take. The user is that of the run: `configurable.user_id` or `langgraph_user_id`. */
export interface MemoryToolOptions {
  /** Any LangGraph store, with or without vectors. */
  store: BaseStore;
  /** Said to the model besides what the tool does. */
  instructions?: string;
  name?: string;
}

/** What the tool that changes memory takes besides. */
export interface ManageMemoryOptions extends MemoryToolOptions {
  /**
   * Whose words the conversation holds. `user`: nobody else's; what the model writes is live at once. `mail`, the
   * default: also those of strangers (mail, web pages, tools); what it writes waits for the user's approval.
   */
  trust?: Trust;
  actionsPermitted?: readonly (typeof ACTIONS)[number][];
  now?: () => Date;
}

/**
 * A tool by which a model keeps, corrects and removes memories of the user it works for, in the namespace and shape of
 * the email assistant's own. Name and arguments are those of LangMem's `create_manage_memory_tool` (langchain-ai/langmem):
 * `content`, `action`, `id`. What is corrected or removed is superseded, so that it can be looked up; only the user
 * forgets.
 *
 * The tool answers a mistake of the model's in words. @throws MnemailError("usage") for a run without a user,
 * MnemailError("store").
 */
export function createManageMemoryTool(options: ManageMemoryOptions) {
  const { store, instructions, name = "manage_memory", trust = "mail", actionsPermitted = ACTIONS } = options;
  const now = options.now ?? (() => new Date());
  const access = new StoreAccess(adaptStore(store), () => {});
  const facts = new Facts(access);
  const pending = new Pending(access);
  const [first = "create", ...others] = actionsPermitted;
  return tool(
    async ({ content, action, id }, config) => {
      const userId = userIdOf(config);
      const at = now().toISOString();
      return inWords(async () => {
        if (action !== "create" && !id) return `Refused: ${action} needs the id of a memory.`;
        if (action !== "delete" && !content?.trim()) return `Refused: ${action} needs content.`;
        if (trust === "mail") return pending.propose(userId, { content: content ?? null, action, id: id ?? null }, at);
        if (action === "delete") {
          const { key } = await facts.retire(userId, id ?? "", at);
          return `deleted memory ${key}`;
        }
        if (action === "update" && (await facts.find(userId, id ?? ""))?.record.kind !== "fact") {
          return `Refused: there is no memory ${id}.`;
        }
        const supersedes = action === "update" && id ? [id] : [];
        const { key } = await facts.remember(userId, { content: content ?? "", supersedes }, at);
        return `${action}d memory ${key}`;
      });
    },
    {
      name,
      description: describe(
        trust === "mail"
          ? "Propose to create, update or delete a memory that persists across conversations. The user approves it before it is used."
          : "Create, update, or delete a memory that persists across conversations.",
        instructions,
      ),
      schema: z.object({
        content: z.string().nullish().describe("What to remember, in one or two sentences; null to delete"),
        action: z.enum([first, ...others]).default("create"),
        id: z.string().nullish().describe("The id of the memory to update or delete; null to create"),
      }),
    },
  );
}

/**
 * A tool by which a model searches the memories of the user it works for. Name and arguments are those of LangMem's
 * `create_search_memory_tool`: `query`, `limit`, `offset`, `filter` (only `scope`, such as `person:ada@example.com`). The
 * answer is JSON: `[{ id, content, scope, trust, at }]`, best first; memories of trust `mail` are a stranger's words that
 * the user approved.
 */
export function createSearchMemoryTool({ store, instructions, name = "search_memory" }: MemoryToolOptions) {
  const facts = new Facts(new StoreAccess(adaptStore(store), () => {}));
  return tool(
    async ({ query, limit, offset, filter }, config) => {
      const userId = userIdOf(config);
      return inWords(async () => {
        const from = offset ?? 0;
        const upTo = from + (limit ?? 10);
        const found = (await facts.search(userId, { query, only: filter?.scope, limit: upTo })).slice(from);
        return JSON.stringify(
          found.map(({ key, record: { content, scope, trust, at } }) => ({ id: key, content, scope, trust, at })),
        );
      });
    },
    {
      name,
      description: describe("Search your long-term memories for what is relevant to the conversation.", instructions),
      schema: z.object({
        query: z.string(),
        limit: z.int().min(1).max(SEARCH_LIMIT).nullish(),
        offset: z.int().min(0).nullish(),
        filter: z.object({ scope: scopeSchema }).nullish(),
      }),
    },
  );
}

function describe(what: string, instructions: string | undefined): string {
  return instructions ? `${what} ${instructions}` : what;
}

/** The model can correct its arguments; a store that fails ends the run. */
async function inWords(run: () => Promise<string>): Promise<string> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof MnemailError && error.code !== "store") return `Refused: ${renderError(error)}`;
    throw error;
  }
}
