import type { CheckpointTuple } from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { MnemailError } from "../../errors.ts";
import { encodeLabel } from "./keys.ts";

/** Below it lie the checkpoints of all threads, and the writes that wait at them. */
export const CHECKPOINTS = "t/";
/** The last part of a checkpoint's key; those of its writes begin with `=`. */
const CHECKPOINT = "@";

/** How LangGraph names a checkpoint. */
export type Config = CheckpointTuple["config"];

/** Where a checkpoint stands; the namespace is empty but in subgraphs. */
export interface CheckpointAddress {
  thread: string;
  namespace: string;
  id: string;
}

/** A value as LangGraph's serializer has it: a type, and bytes. */
export type Serialized = [type: string, bytes: Uint8Array];

/** A checkpoint as a place keeps it. */
export interface CheckpointRecord extends CheckpointAddress {
  parent: string | null;
  checkpoint: Serialized;
  metadata: Serialized;
}

/** What one task wrote at a checkpoint, in the order of the indexes. */
export interface WritesRecord extends CheckpointAddress {
  task: string;
  writes: { index: number; channel: string; value: Serialized }[];
}

/** The keys of a checkpoint and of its writes. */
export interface CheckpointKeys {
  id: string;
  /** The thread and the namespace, as they stand in the key. */
  labels: { thread: string; namespace: string };
  checkpoint: string;
  writes: string[];
}

const configSchema = z.object({
  configurable: z
    .object({
      thread_id: z.string().optional(),
      checkpoint_ns: z.string().default(""),
      checkpoint_id: z.string().optional(),
    })
    .prefault({}),
});
const bytes = z.codec(
  z.string(),
  z.custom<Uint8Array>((value) => value instanceof Uint8Array),
  {
    decode(text, context) {
      const decoded = Buffer.from(text, "base64");
      // Whatever is no base64 is passed over by Node.
      if (decoded.toString("base64") !== text)
        context.issues.push({ code: "custom", message: "no base64", input: text });
      return new Uint8Array(decoded);
    },
    encode: (decoded) => Buffer.from(decoded.buffer, decoded.byteOffset, decoded.byteLength).toString("base64"),
  },
);
const serialized = z.tuple([z.string(), bytes]);
const address = { thread: z.string(), namespace: z.string(), id: z.string() };
const checkpointRecord = z.object({
  ...address,
  parent: z.string().nullable(),
  checkpoint: serialized,
  metadata: serialized,
});
const writesRecord = z.object({
  ...address,
  task: z.string(),
  writes: z.array(z.object({ index: z.int(), channel: z.string(), value: serialized })),
});

/** The beginning of all keys of a thread's checkpoints, or of those of one namespace. */
export function threadPrefix(thread: string, namespace?: string): string {
  return `${CHECKPOINTS}${part(thread)}/${namespace === undefined ? "" : `=${part(namespace)}/`}`;
}

/** The beginning of the keys of one checkpoint and of its writes. */
export function checkpointPrefix({ thread, namespace, id }: CheckpointAddress): string {
  const label = part(id);
  // Its order has to be in its key.
  if (label.includes("~")) throw new MnemailError("store", `the checkpoint id ${JSON.stringify(id)} is too long`);
  return `${threadPrefix(thread, namespace)}${label}/`;
}

/** The key of a checkpoint: `t/<thread>/=<namespace>/<id>/@`. */
export function checkpointKey(at: CheckpointAddress): string {
  return `${checkpointPrefix(at)}${CHECKPOINT}`;
}

/** The key of a task's writes at a checkpoint: `t/<thread>/=<namespace>/<id>/=<task>`. */
export function writesKey(at: CheckpointAddress & { task: string }): string {
  return `${checkpointPrefix(at)}=${part(at.task)}`;
}

/** The part of a key that stands for a thread. */
export function part(text: string): string {
  if (!text.isWellFormed())
    throw new MnemailError("input", `${JSON.stringify(text)} has half a character`, "correct it");
  return encodeLabel(text);
}

/** The checkpoints that some keys are of, those with the greatest ids first. Writes without a checkpoint are left out. */
export function checkpointsOf(keys: readonly string[]): CheckpointKeys[] {
  const found = new Map<string, { checkpoint?: string; writes: string[] }>();
  for (const key of keys) {
    const end = key.lastIndexOf("/") + 1;
    const prefix = key.slice(0, end);
    const at = found.get(prefix) ?? { writes: [] };
    found.set(prefix, at);
    if (key.slice(end) === CHECKPOINT) at.checkpoint = key;
    else at.writes.push(key);
  }
  const checkpoints = [...found].flatMap(([prefix, { checkpoint, writes }]): CheckpointKeys[] => {
    const [, thread = "", namespace = "", id = ""] = prefix.split("/");
    return checkpoint === undefined
      ? []
      : [{ id: nameOf(id), labels: { thread, namespace }, checkpoint, writes: writes.sort() }];
  });
  return checkpoints.sort((a, b) => (a.id === b.id ? 0 : a.id > b.id ? -1 : 1));
}

/** Whether the keys of a checkpoint are of a namespace. */
export function isIn({ labels }: CheckpointKeys, namespace: string): boolean {
  return labels.namespace === `=${part(namespace)}`;
}

/** A checkpoint as text: JSON, the serialized bytes in base64. */
export function checkpointText(record: CheckpointRecord): string {
  return JSON.stringify(checkpointRecord.encode(record));
}

/** The writes of a task as text, as {@link checkpointText}. */
export function writesText(record: WritesRecord): string {
  return JSON.stringify(writesRecord.encode(record));
}

/** @throws MnemailError("store") where the text is not of {@link checkpointText}, or of another key. */
export function parseCheckpointText(key: string, text: string): CheckpointRecord {
  return parseRecord(key, () => checkpointRecord.parse(JSON.parse(text)), checkpointKey);
}

/** @throws MnemailError("store") where the text is not of {@link writesText}, or of another key. */
export function parseWritesText(key: string, text: string): WritesRecord {
  return parseRecord(key, () => writesRecord.parse(JSON.parse(text)), writesKey);
}

function parseRecord<T>(key: string, parse: () => T, keyOf: (record: T) => string): T {
  try {
    const record = parse();
    if (keyOf(record) !== key) throw new TypeError("a record of another key");
    return record;
  } catch (error) {
    throw unreadable(key, error);
  }
}

/** The error for a record of a thread that cannot be read: a draft that waits must not be missing without a word. */
export function unreadable(key: string, cause: unknown): MnemailError {
  const [, label = ""] = key.split("/");
  const what = `thread ${JSON.stringify(nameOf(label))}: what is kept under ${key} cannot be read`;
  return new MnemailError("store", what, "it is left as it is; put it back from a copy, or remove it there", { cause });
}

/** A long name is cut, and may be so in the middle of a character. */
function nameOf(label: string): string {
  try {
    return decodeURIComponent(label);
  } catch {
    return label;
  }
}

/**
 * What a config says; without an id it means the newest checkpoint.
 *
 * @throws MnemailError("input") for what is no text.
 */
export function partsOf(config: Config): { thread: string | undefined; namespace: string; id: string | undefined } {
  const parsed = configSchema.safeParse(config);
  if (!parsed.success)
    throw new MnemailError(
      "input",
      "thread_id, checkpoint_ns and checkpoint_id have to be texts",
      "correct the config",
    );
  const { thread_id, checkpoint_ns, checkpoint_id } = parsed.data.configurable;
  return { thread: thread_id, namespace: checkpoint_ns, id: checkpoint_id || undefined };
}

/** The config that names a checkpoint. */
export function configOf({ thread, namespace, id }: CheckpointAddress): Config {
  return { configurable: { thread_id: thread, checkpoint_ns: namespace, checkpoint_id: id } };
}

/** A write of an index stays as it was first, but for errors, interrupts and the like, which have negative ones. */
export function mergeWrites(kept: WritesRecord["writes"], added: WritesRecord["writes"]): WritesRecord["writes"] {
  const writes = new Map(kept.map((write) => [write.index, write]));
  for (const write of added) if (write.index < 0 || !writes.has(write.index)) writes.set(write.index, write);
  return [...writes.values()].sort((a, b) => a.index - b.index);
}
