import { createInterface } from "node:readline/promises";
import type { Readable, Writable } from "node:stream";
import { z } from "zod";
import { loadConfig } from "../config.ts";
import { MnemailError } from "../errors.ts";
import { encodeUserId, userRoots } from "../store/namespaces.ts";
import { describeStore } from "../store-config/describe-store.ts";
import { note, printJson, shorten } from "./output.ts";
import { plural, showProgress } from "./progress.ts";
import { openIndexedStore, openPlainStore } from "./stores.ts";

const dropSchema = z.object({
  user: z.string(),
  yes: z.boolean().default(false),
  json: z.boolean().default(false),
});

/** `mnemail memory drop`: removes everything that is kept about a user. Returns the exit code: 1 when it was not done. */
export async function dropUser(rawOptions: unknown): Promise<number> {
  const { user, yes, json } = dropSchema.parse(rawOptions);
  encodeUserId(user);
  if (!yes && !(process.stdin.isTTY && process.stderr.isTTY)) {
    throw new MnemailError("usage", "drop: asks before it removes, and there is no terminal to ask on", "add --yes");
  }
  await using store = await openPlainStore(loadConfig());
  const roots = Object.values(userRoots(user));
  if (!yes) {
    let kept = 0;
    for await (const page of store.pages(roots)) kept += page.length;
    const question = `Remove ${plural(kept, "item")} of ${shorten(user)} for good? [y/N] `;
    if (!(await confirm(question, { input: process.stdin, output: process.stderr }))) {
      note("nothing was removed");
      return 1;
    }
  }
  const removed = await store.drop(roots);
  for (const each of await store.erase()) note(each);
  if (json) printJson({ user, removed });
  else console.log(`removed ${plural(removed, "item")} of ${shorten(user)}`);
  return 0;
}

/** Asks a question; only a y or yes is one. The end of the input is a no. */
export async function confirm(question: string, streams: { input: Readable; output: Writable }): Promise<boolean> {
  const asked = createInterface(streams);
  try {
    const ended = new Promise<string>((resolve) => asked.once("close", () => resolve("")));
    return /^\s*y(es)?\s*$/i.test(await Promise.race([asked.question(question), ended]));
  } finally {
    asked.close();
  }
}

const jsonSchema = z.object({ json: z.boolean().default(false) });

/** `mnemail memory sweep`: removes what is past its time. Returns the exit code. */
export async function sweepStore(rawOptions: unknown): Promise<number> {
  const { json } = jsonSchema.parse(rawOptions);
  await using store = await openPlainStore(loadConfig());
  const removed = await store.sweep();
  if (json) printJson({ removed });
  else console.log(`removed ${plural(removed, "expired item")}`);
  return 0;
}

/** `mnemail memory reindex`: makes the vectors of the configured embedding model. Returns the exit code. */
export async function reindexStore(rawOptions: unknown): Promise<number> {
  const { json } = jsonSchema.parse(rawOptions);
  const config = loadConfig();
  await using opened = await openIndexedStore(config);
  note(describeStore(config.store));
  const indexed = await opened.store.reindex(showProgress("indexed"));
  if (json) printJson({ model: opened.embeddingModel, indexed });
  else console.log(`made the vectors of ${plural(indexed, "item")} by ${opened.embeddingModel}`);
  return 0;
}
