import { z } from "zod";
import { MnemailError } from "../../errors.ts";
import type { KeyChange, KeyValue } from "./key-value.ts";
import { part, unreadable } from "./key-value-checkpointer-records.ts";

/** Below it lies one record for each thread: its newest checkpoint, and whose it is. */
const NEWEST = "n/";
/** Below it lies, for each user, one key for each of their threads. */
const OWNED = "o/";
/** There from the first thread on. */
export const KEPT_KEY = "m/threads";
/** Of how many threads a process knows what it wrote last. */
const MOST_KNOWN = 10_000;
/** How often others may come in between. */
const ATTEMPTS = 1_000;

const newestSchema = z.object({
  thread: z.string(),
  id: z.string(),
  owner: z.string().nullable(),
  /** Everyone below whose name a key may stand for this thread: after a move, and a crash. */
  users: z.array(z.string()),
});
type Newest = z.infer<typeof newestSchema>;

/**
 * Makes changes all or none; where a place cannot, step by step. False when an expectation failed; no later step was made
 * then.
 */
export async function writeInOrder(place: KeyValue, steps: readonly (readonly KeyChange[])[]): Promise<boolean> {
  for (const step of place.isAtomic ? [steps.flat()] : steps) {
    if (step.length > 0 && !(await place.write(step))) return false;
  }
  return true;
}

/** Runs what is false while others come in between. @throws MnemailError("store") when that does not end. */
export async function untilWritten(place: KeyValue, run: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) if (await run()) return;
  throw new MnemailError("store", `${place.name}: others change the same thread all the time`, "try again");
}

/**
 * Whose the threads of a place are: the newest checkpoint in the root namespace says so. A record of each thread repeats it,
 * and a key below the user's name leads there; both are written after the checkpoint. Where a place makes changes one by
 * one, a crash in between leaves a list as it was, or without the thread, until its next checkpoint: who shows a thread
 * has to look at whose its newest checkpoint is (`findThread` in `threads.ts` does).
 */
export function createThreadOwners(place: KeyValue) {
  /** The records as this process wrote them last, with the keys that lead there. */
  const known = new Map<string, string>();
  let isKept = false;

  return {
    /** The ids of a user's threads, the one with the newest checkpoint first. No record of another user's is read. */
    async threadIds(userId: string): Promise<string[]> {
      if (userId === "") return [];
      const prefix = `${OWNED}${part(userId)}/`;
      const keys = (await place.keys(prefix)).map((key) => `${NEWEST}${key.slice(prefix.length)}`);
      const texts = await place.read(keys);
      return keys
        .flatMap((key, i) => parseNewest(key, texts[i]) ?? [])
        .filter(({ owner }) => owner === userId)
        .sort((a, b) => (a.id > b.id ? -1 : 1))
        .map(({ thread }) => thread);
    },
    /** Writes a checkpoint of a root namespace, and whose its thread is when no newer one says otherwise. */
    async put(checkpoint: KeyChange, put: { thread: string; id: string; user: string | null }): Promise<void> {
      const key = newestKey(put.thread);
      // A thread that this process knows nothing of is a new one most of the time.
      let before = known.get(key) ?? null;
      let isKnown = before !== null;
      await untilWritten(place, async () => {
        const old = parseNewest(key, before);
        const newest = old && old.id > put.id ? old : { ...put, owner: put.user, users: usersOf(old, put.user) };
        const text = JSON.stringify(newestSchema.parse(newest));
        const keys: KeyChange[] = isKept ? [] : [{ key: KEPT_KEY, text: "true" }];
        if (newest.owner !== null && !(isKnown && old?.owner === newest.owner))
          keys.push({ key: ownedKey(newest.owner, put.thread), text: "true" });
        if (old && old.owner !== null && old.owner !== newest.owner)
          keys.push({ key: ownedKey(old.owner, put.thread), text: null });
        if (await writeInOrder(place, [[checkpoint], [{ key, text, expected: before }], keys])) {
          if (known.size >= MOST_KNOWN) known.clear();
          known.set(key, text);
          isKept = true;
          return true;
        }
        [before = null] = await place.read([key]);
        isKnown = false;
        return false;
      });
    },
    /** How to remove whose a thread is, if it still is as now: the keys below users' names, then the record. */
    async removal(thread: string): Promise<[owned: KeyChange[], newest: KeyChange]> {
      const key = newestKey(thread);
      const [text = null] = await place.read([key]);
      return [
        (await ownedKeys(thread, key, text)).map((each) => ({ key: each, text: null })),
        { key, text: null, expected: text },
      ];
    },
  };

  async function ownedKeys(thread: string, key: string, text: string | null): Promise<string[]> {
    try {
      const newest = parseNewest(key, text);
      if (newest) return newest.users.map((user) => ownedKey(user, thread));
    } catch (error) {
      if (!(error instanceof MnemailError)) throw error;
    }
    // Without a record that can be read, it may be anyone's.
    return (await place.keys(OWNED)).filter((each) => each.endsWith(`/${part(thread)}`));
  }
}

function usersOf(old: Newest | undefined, user: string | null): string[] {
  return [...new Set([...(old?.users ?? []), ...(user === null ? [] : [user])])];
}

function newestKey(thread: string): string {
  return `${NEWEST}${part(thread)}`;
}

function ownedKey(user: string, thread: string): string {
  return `${OWNED}${part(user)}/${part(thread)}`;
}

function parseNewest(key: string, text: string | null | undefined): Newest | undefined {
  if (text == null) return undefined;
  try {
    const newest = newestSchema.parse(JSON.parse(text));
    if (newestKey(newest.thread) !== key) throw new TypeError("a record of another key");
    return newest;
  } catch (error) {
    throw unreadable(key, error);
  }
}
