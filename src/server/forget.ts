import type { Client } from "@langchain/langgraph-sdk";
import { z } from "zod";
import { MnemailError, renderError } from "../errors.ts";
import type { StoreAccess } from "../memory/access.ts";
import type { ForgetPlan } from "../memory/forget-plan.ts";
import { isTraced } from "../memory/forget-rewrite.ts";
import type { ForgetTarget, Traces } from "../memory/forget-traces.ts";
import { Forgetting } from "../memory/forgetting.ts";
import type { Prompts } from "../prompts.ts";
import type { MnemailStore } from "../store/mnemail-store.ts";
import type { OpenCheckpointer } from "../store/open-checkpointer.ts";

const PAGE = 100;
/** More states than a thread has steps. */
const MOST_STATES = 1_000;

const ownerSchema = z.object({ user_id: z.string() });

/** What went, or would go. `notes` are about what may still be in the files. */
export interface Forgotten extends Pick<ForgetPlan, "removed" | "rewritten" | "unindexed"> {
  threads: { thread_id: string; text: string; why: string }[];
  notes: string[];
}

/** What forgetting works on. */
export interface ForgetParts {
  store: MnemailStore;
  access: StoreAccess;
  prompts: Prompts;
  /** Opens the local threads, where there are any. */
  openThreads(): Promise<OpenCheckpointer | undefined>;
  /** The LangGraph server whose threads are looked through too. */
  client?: Client | undefined;
}

/**
 * What forgetting would do, and with `confirm` does it: threads of the server go first, then what is in the store and in
 * local threads, so that who is cut off asks again and finds the rest.
 *
 * @throws as {@link Forgetting}; "missing" where nothing is kept of the target.
 */
export async function forget(
  userId: string,
  target: ForgetTarget,
  { confirm, time }: { confirm: boolean; time: string },
  parts: ForgetParts,
): Promise<Forgotten> {
  const { store, access, prompts, client } = parts;
  await using threads = await parts.openThreads();
  const forgetting = new Forgetting(access, prompts, threads);
  const plan = await forgetting.plan(userId, target, time).catch((error: unknown) => {
    throw error instanceof MnemailError && error.code === "input"
      ? new MnemailError("missing", error.message, "GET /v1/memory tells what is kept")
      : error;
  });
  const onServer = client ? await serverThreads(client, userId, plan.traces) : [];
  if (!confirm) return asData(plan, onServer, []);
  for (const { thread_id } of onServer) await client?.threads.delete(thread_id);
  const done = await forgetting.forget(userId, target, time);
  try {
    const notes = [...(await store.erase()), ...((await threads?.erase()) ?? [])];
    await forgetting.noteErased(userId);
    return asData(done, onServer, notes);
  } catch (error) {
    const what = `forget: the text was removed but may still be read off the files: ${renderError(error)}`;
    throw new MnemailError("store", what, "`mnemail memory forget` erases it", { cause: error });
  }
}

function asData(plan: ForgetPlan, onServer: Forgotten["threads"], notes: string[]): Forgotten {
  const { removed, rewritten, threads, unindexed } = plan;
  const local = threads.map(({ threadId, text, why }) => ({ thread_id: threadId, text, why }));
  return { removed, rewritten, threads: [...local, ...onServer], unindexed, notes };
}

/** The user's threads on the server that hold anything of what was traced, in any of their states. */
async function serverThreads(client: Client, userId: string, traces: Traces): Promise<Forgotten["threads"]> {
  const found: Forgotten["threads"] = [];
  for (let offset = 0; ; offset += PAGE) {
    const page = await client.threads.search({ limit: PAGE, offset });
    for (const { thread_id, values, metadata } of page) {
      // An open server names no owners.
      if (metadata?.["owner"] !== userId && ownerSchema.safeParse(values).data?.user_id !== userId) continue;
      const states = await client.threads.getHistory(thread_id, { limit: MOST_STATES });
      const text = JSON.stringify([values ?? null, metadata ?? null, states]);
      if (!isTraced(JSON.parse(text), traces)) continue;
      found.push({ thread_id, text: "", why: "its states on the server hold what is forgotten" });
    }
    if (page.length < PAGE) return found;
  }
}
