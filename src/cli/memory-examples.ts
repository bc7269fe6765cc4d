import { z } from "zod";
import { loadConfig } from "../config.ts";
import { renderError } from "../errors.ts";
import { openInbox } from "../mail/inbox.ts";
import { StoreAccess } from "../memory/access.ts";
import { Examples, type PutExample } from "../memory/examples.ts";
import { type KeptEmail, keepEmail, labelSchema } from "../memory/records.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { describeStore } from "../store-config/describe-store.ts";
import { note, printJson, shorten } from "./output.ts";
import { plural } from "./progress.ts";
import { openIndexedStore, openPlainStore } from "./stores.ts";

const KEY_LIMIT = 1_100;
/** Emails that are held in memory at once. */
const CHUNK = 100;

const listSchema = z.object({ user: z.string(), json: z.boolean().default(false) });
const addSchema = listSchema.extend({ path: z.string(), label: labelSchema });
const relabelSchema = listSchema.extend({ key: z.string(), label: labelSchema });
const removeSchema = listSchema.extend({ key: z.string() });

/** `mnemail memory examples list`. Returns the exit code. */
export async function listExamples(rawOptions: unknown): Promise<number> {
  const { user, json } = listSchema.parse(rawOptions);
  encodeUserId(user);
  await using store = await openPlainStore(loadConfig());
  const examples = await new Examples(new StoreAccess(store, note)).list(user);
  if (json) {
    const rows = examples.map(({ key, record: { label, email, at } }) => ({
      ...{ key, label, subject: email.subject, from: email.from, at },
    }));
    printJson({ user, examples: rows });
    return 0;
  }
  for (const { key, record } of examples) {
    const { subject, from } = record.email;
    const what = `${shorten(subject || "(no subject)", 60)} (${shorten(from, 60)})`;
    console.log(`${record.label.padEnd(7)}  ${shorten(record.at, 30)}  ${what}  [${shorten(key, KEY_LIMIT)}]`);
  }
  if (examples.length === 0) console.log(`no examples of ${shorten(user)} yet`);
  return 0;
}

/** `mnemail memory examples add`. Returns the exit code: 1 when an email could not be read. */
export async function addExamples(rawOptions: unknown): Promise<number> {
  const { user, path, label, json } = addSchema.parse(rawOptions);
  encodeUserId(user);
  const inbox = await openInbox(path);
  await using opened = await openExamples();
  const failed: { id: string; error: string }[] = [];
  const added: PutExample[] = [];
  let waiting: KeptEmail[] = [];
  const flush = async () => {
    added.push(...(await opened.examples.add(user, waiting, label, new Date().toISOString())));
    waiting = [];
  };
  for await (const entry of inbox.entries()) {
    if (entry.status === "unreadable") {
      const error = renderError(entry.error);
      note(error);
      failed.push({ id: entry.id, error });
      continue;
    }
    for (const each of entry.notes) note(`${entry.email.id}: ${each}`);
    waiting.push(keepEmail(entry.email));
    if (waiting.length >= CHUNK) await flush();
  }
  await flush();
  if (json) printJson({ user, added, failed });
  else {
    for (const each of added) console.log(renderChange(each));
    const unread = failed.length > 0 ? `; ${plural(failed.length, "email")} could not be read` : "";
    console.log(`${plural(added.length, "example")} of ${label} for ${shorten(user)}${unread}`);
  }
  return failed.length > 0 ? 1 : 0;
}

/** `mnemail memory examples relabel`. Returns the exit code. */
export async function relabelExample(rawOptions: unknown): Promise<number> {
  const { user, key, label, json } = relabelSchema.parse(rawOptions);
  encodeUserId(user);
  await using opened = await openExamples();
  const changed = await opened.examples.relabel(user, key, label, new Date().toISOString());
  if (json) printJson({ user, ...changed });
  else console.log(renderChange(changed));
  return 0;
}

/** `mnemail memory examples remove`. Returns the exit code. */
export async function removeExample(rawOptions: unknown): Promise<number> {
  const { user, key, json } = removeSchema.parse(rawOptions);
  encodeUserId(user);
  await using store = await openPlainStore(loadConfig());
  const removed = await new Examples(new StoreAccess(store, note)).remove(user, key);
  if (json) printJson({ user, key: removed.key, label: removed.label, subject: removed.subject, removed: true });
  else console.log(`removed ${removed.label}: ${shorten(removed.subject || "(no subject)")}`);
  return 0;
}

/** Opens the examples of the environment's store with its embeddings, and says on stderr where they are. */
export async function openExamples(): Promise<AsyncDisposable & { examples: Examples }> {
  const config = loadConfig();
  const opened = await openIndexedStore(config);
  note(describeStore(config.store));
  return {
    examples: new Examples(new StoreAccess(opened.store, note)),
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

function renderChange({ key, subject, label, was }: PutExample): string {
  const before = was === undefined ? "" : was === label ? " (as before)" : ` (was ${was})`;
  return `${label}${before}: ${shorten(subject || "(no subject)")} [${shorten(key, KEY_LIMIT)}]`;
}
