import { z } from "zod";
import { loadConfig } from "../config.ts";
import { MnemailError, renderError } from "../errors.ts";
import { StoreAccess } from "../memory/access.ts";
import type { ForgetPlan } from "../memory/forget-plan.ts";
import type { ForgetTarget } from "../memory/forget-traces.ts";
import { Forgetting } from "../memory/forgetting.ts";
import { loadPrompts } from "../prompts.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { hasThreads, openCheckpointer } from "../store/open-checkpointer.ts";
import { confirm } from "./memory-keep.ts";
import { note, printJson, shorten } from "./output.ts";
import { plural } from "./progress.ts";
import { openPlainStore } from "./stores.ts";

const ID_LIMIT = 1_100;

const optionsSchema = z.object({
  user: z.string(),
  contact: z.string().optional(),
  email: z.string().optional(),
  memory: z.string().optional(),
  dryRun: z.boolean().default(false),
  yes: z.boolean().default(false),
  json: z.boolean().default(false),
});

/** What forgetting does not reach. */
const NOT_TOUCHED =
  "not touched: exports and backups made earlier, what a mail server keeps, what other emails quote, and texts that name a person without the address";

const HEADINGS = {
  ...{
    emails: "emails, each with its decision, draft, example and the record of the exchange",
    memories: "memories",
    pending: "memories that wait for your word",
  },
  ...{ superseded: "memories that others took the place of", rules: "rules", feedback: "feedback" },
  temporary: "temporary data of threads",
};

/**
 * `mnemail memory forget`: shows what goes with a contact, an email or a memory, asks, and removes it from the store and
 * its files. Returns the exit code: 1 when it was not done.
 */
export async function forgetMemory(rawOptions: unknown): Promise<number> {
  const { user, dryRun, yes, json, ...given } = optionsSchema.parse(rawOptions);
  encodeUserId(user);
  const target = targetOf(given);
  if (!yes && !dryRun && !(process.stdin.isTTY && process.stderr.isTTY)) {
    const what = "forget: asks before it removes, and there is no terminal to ask on";
    throw new MnemailError("usage", what, "add --yes, or --dry-run to see what it would remove");
  }
  const config = loadConfig();
  await using store = await openPlainStore(config);
  await using threads = (await hasThreads(config.store, note))
    ? await openCheckpointer(config.store, { warn: note })
    : undefined;
  const forgetting = new Forgetting(new StoreAccess(store, note), loadPrompts(), threads);
  const erase = async (): Promise<string[]> => {
    try {
      const notes = [...(await store.erase()), ...((await threads?.erase()) ?? [])];
      await forgetting.noteErased(user);
      return notes;
    } catch (error) {
      const what = `forget: the text was removed but may still be read off the files: ${renderError(error)}`;
      throw new MnemailError("store", what, "run it again");
    }
  };
  const time = new Date().toISOString();
  const plan = await forgetting.plan(user, target, time).catch(async (error: unknown) => {
    if (!(error instanceof MnemailError && error.code === "input")) throw error;
    if (dryRun || !(await forgetting.finish(user))) throw error;
    return undefined;
  });
  if (!plan) {
    // An earlier run removed the text and was kept from erasing it.
    report({ user, target, json, notes: await erase() });
    return 0;
  }
  if (dryRun) {
    if (json) printJson({ user, [target.what]: target.id, dry_run: true, ...asData(plan), not_touched: NOT_TOUCHED });
    else console.log([`would forget of ${shorten(user)}:`, ...renderPlan(plan), NOT_TOUCHED].join("\n"));
    return 0;
  }
  if (!yes) {
    console.error([...renderPlan(plan), NOT_TOUCHED].join("\n"));
    const question = `Forget this of ${shorten(user)} for good? [y/N] `;
    if (!(await confirm(question, { input: process.stdin, output: process.stderr }))) {
      note("nothing was forgotten");
      return 1;
    }
  }
  const done = await forgetting.forget(user, target, time);
  report({ user, target, json, done, notes: await erase() });
  return 0;
}

type Given = Partial<Record<ForgetTarget["what"], string | undefined>>;

function targetOf({ contact, email, memory }: Given): ForgetTarget {
  const targets = Object.entries({ contact, email, memory }).flatMap(([what, id]) =>
    id === undefined || (what !== "contact" && what !== "email" && what !== "memory") ? [] : [{ what, id } as const],
  );
  const [target, ...others] = targets;
  if (target && others.length === 0) return target;
  throw new MnemailError("usage", "forget: expected --contact ADDRESS, --email ID or --memory ID, and one of these");
}

function report(found: {
  user: string;
  target: ForgetTarget;
  json: boolean;
  done?: ForgetPlan;
  notes: string[];
}): void {
  const { user, target, json, done, notes } = found;
  const nothing = { removed: [], rewritten: [], threads: [], unindexed: 0 };
  if (json) {
    const data = asData(done ?? nothing);
    printJson({ user, [target.what]: target.id, dry_run: false, ...data, notes, not_touched: NOT_TOUCHED });
  } else if (done) {
    console.log([`forgotten of ${shorten(user)}:`, ...renderPlan(done), NOT_TOUCHED].join("\n"));
  } else console.log(`nothing was left to forget of ${shorten(user)}; what an earlier run removed is erased now`);
  for (const each of notes) note(each);
  if (done && done.unindexed > 0) {
    const items = plural(done.unindexed, "rewritten item");
    note(`${items} will be found by words alone until \`mnemail memory reindex\``);
  }
}

function asData({ removed, rewritten, threads, unindexed }: Omit<ForgetPlan, "puts" | "traces">) {
  const found = threads.map(({ threadId, text, why }) => ({ thread_id: threadId, text, why }));
  return { removed, rewritten, threads: found, unindexed };
}

/** The lines of what goes and what only loses words, a line for each thing. */
function renderPlan({ removed, rewritten, threads }: ForgetPlan): string[] {
  const line = (key: string, text: string, why: string) =>
    `  ${[text && shorten(text, 100), `[${shorten(key, ID_LIMIT)}]`].filter(Boolean).join(" ")}: ${shorten(why, 300)}`;
  const groups = Object.entries(HEADINGS).flatMap(([group, heading]) => {
    const things = removed.filter((each) => each.group === group);
    if (things.length === 0) return [];
    return [`${heading} (${things.length})`, ...things.map(({ key, text, why }) => line(key, text, why))];
  });
  return [
    ...groups,
    ...(threads.length > 0 ? [`threads (${threads.length})`] : []),
    ...threads.map(({ threadId, text, why }) => line(threadId, text, why)),
    ...(rewritten.length > 0 ? [`kept without the forgotten words (${rewritten.length})`] : []),
    ...rewritten.map(({ group, key, text, why }) => line(key, text ? `${group}: ${text}` : group, why)),
  ];
}
