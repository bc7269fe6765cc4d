import {
  BaseCheckpointSaver,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  copyCheckpoint,
  getCheckpointId,
  maxChannelVersion,
  type PendingWrite,
  TASKS,
  WRITES_IDX_MAP,
} from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { MnemailError } from "../../errors.ts";
import type { KeyValue } from "./key-value.ts";
import { createThreadOwners, KEPT_KEY, untilWritten, writeInOrder } from "./key-value-checkpointer-owners.ts";
import {
  CHECKPOINTS,
  type CheckpointAddress,
  type CheckpointKeys,
  type Config,
  checkpointKey,
  checkpointPrefix,
  checkpointsOf,
  checkpointText,
  configOf,
  isIn,
  mergeWrites,
  parseCheckpointText,
  parseWritesText,
  partsOf,
  type Serialized,
  threadPrefix,
  unreadable,
  type WritesRecord,
  writesKey,
  writesText,
} from "./key-value-checkpointer-records.ts";

/** How many checkpoints of a list are read at once. */
const READ_AT_ONCE = 50;
/** The indexes of errors, interrupts and the like, which are negative. */
const SPECIAL_INDEXES = new Map(Object.entries(WRITES_IDX_MAP));

const versionSchema = z.union([z.number(), z.string()]);
const checkpointSchema: z.ZodType<Checkpoint> = z.object({
  ...{ v: z.number(), id: z.string(), ts: z.string() },
  channel_values: z.record(z.string(), z.unknown()),
  channel_versions: z.record(z.string(), versionSchema),
  versions_seen: z.record(z.string(), z.record(z.string(), versionSchema)),
});
const metadataSchema = z.custom<CheckpointMetadata>((value) => typeof value === "object" && value !== null);
const ownerSchema = z.object({ user_id: z.string().min(1).nullable().catch(null) });

/**
 * Opens LangGraph's checkpointer in any place that keeps texts by key, with the semantics of LangGraph's MemorySaver; lists
 * are newest first over all threads. Each checkpoint is a record, and so is what each task wrote at it. Several processes
 * may use it. `threadIds` names the threads of a user, the one with the newest checkpoint first, without reading any;
 * `erase` is the place's `vacuum`. Closes the place when it is disposed.
 *
 * All methods throw MnemailError("store"): what the place throws, and, naming the thread, for a record that cannot be read.
 */
export function openKeyValueCheckpointer(place: KeyValue): {
  checkpointer: BaseCheckpointSaver;
  threadIds(userId: string): Promise<string[]>;
  erase(): Promise<string[]>;
} & AsyncDisposable {
  const owners = createThreadOwners(place);
  return {
    checkpointer: new KeyValueSaver(place, owners),
    threadIds: (userId) => owners.threadIds(userId),
    erase: async () => (await place.vacuum?.()) ?? [],
    [Symbol.asyncDispose]: () => place.close(),
  };
}

/** Whether threads were ever kept in a place: one read, which writes nothing. @throws MnemailError("store") as the place. */
export async function hasThreadsAt(place: KeyValue): Promise<boolean> {
  return (await place.read([KEPT_KEY]))[0] != null;
}

class KeyValueSaver extends BaseCheckpointSaver {
  readonly #place: KeyValue;
  readonly #owners: ReturnType<typeof createThreadOwners>;

  constructor(place: KeyValue, owners: ReturnType<typeof createThreadOwners>) {
    super();
    this.#place = place;
    this.#owners = owners;
  }

  async getTuple(config: Config): Promise<CheckpointTuple | undefined> {
    const { thread, namespace } = partsOf(config);
    if (!thread) return undefined;
    const id = getCheckpointId(config);
    if (id) {
      const found = await this.#place.list(checkpointPrefix({ thread, namespace, id }));
      const [keys] = checkpointsOf(found.map(({ key }) => key));
      return keys && this.#toTuple(keys, new Map(found.map(({ key, text }) => [key, text])), config);
    }
    const [newest] = checkpointsOf(await this.#place.keys(threadPrefix(thread, namespace)));
    return newest && this.#toTuple(newest, await this.#read([newest]));
  }

  async *list(config: Config, options: CheckpointListOptions = {}): AsyncGenerator<CheckpointTuple> {
    const namespace: unknown = config.configurable?.["checkpoint_ns"];
    const { thread, namespace: wanted, id } = partsOf(config);
    const before = options.before && partsOf(options.before).id;
    const isAnywhere = namespace === undefined;
    const prefix = thread ? threadPrefix(thread, isAnywhere ? undefined : wanted) : CHECKPOINTS;
    const checkpoints = checkpointsOf(await this.#place.keys(prefix)).filter(
      (each) =>
        (isAnywhere || isIn(each, wanted)) && (!id || each.id === id) && (before === undefined || each.id < before),
    );
    const filter = Object.entries<unknown>(options.filter ?? {});
    let left = options.limit ?? Number.POSITIVE_INFINITY;
    while (checkpoints.length > 0 && left > 0) {
      const page = checkpoints.splice(0, filter.length > 0 ? READ_AT_ONCE : Math.min(READ_AT_ONCE, left));
      const texts = await this.#read(page);
      for (const keys of page) {
        const tuple = await this.#toTuple(keys, texts);
        if (!tuple || !filter.every(([name, value]) => Reflect.get(tuple.metadata ?? {}, name) === value)) continue;
        if (left <= 0) return;
        left -= 1;
        yield tuple;
      }
    }
  }

  async put(config: Config, checkpoint: Checkpoint, metadata: CheckpointMetadata): Promise<Config> {
    const { thread, namespace, id: parent } = partsOf(config);
    const { id } = checkpoint;
    if (!thread || !id) throw new MnemailError("input", "a checkpoint is put without a thread_id or id", "name both");
    const at = { thread, namespace, id };
    const text = checkpointText({
      ...{ ...at, parent: parent ?? null },
      checkpoint: await this.serde.dumpsTyped(copyCheckpoint(checkpoint)),
      metadata: await this.serde.dumpsTyped(metadata),
    });
    const change = { key: checkpointKey(at), text };
    if (namespace !== "") await this.#place.write([change]);
    else await this.#owners.put(change, { thread, id, user: ownerSchema.parse(checkpoint.channel_values).user_id });
    return configOf(at);
  }

  async putWrites(config: Config, writes: PendingWrite[], task: string): Promise<void> {
    const { thread, namespace, id } = partsOf(config);
    if (!thread || !id)
      throw new MnemailError("input", "writes are put without a thread_id or checkpoint_id", "name both");
    if (writes.length === 0) return;
    const added = await Promise.all(
      writes.map(async ([channel, value], i) => ({
        ...{ index: SPECIAL_INDEXES.get(channel) ?? i, channel },
        value: await this.serde.dumpsTyped(value),
      })),
    );
    const at = { thread, namespace, id, task };
    const key = writesKey(at);
    // A task writes once most of the time.
    let before: string | null = null;
    await untilWritten(this.#place, async () => {
      const kept = before === null ? [] : parseWritesText(key, before).writes;
      const text = writesText({ ...at, writes: mergeWrites(kept, added) });
      if (text === before || (await this.#place.write([{ key, text, expected: before }]))) return true;
      [before = null] = await this.#place.read([key]);
      return false;
    });
  }

  /** The newest checkpoint goes last, so that a deletion that broke off can be made again by whoever owns the thread. */
  async deleteThread(threadId: string): Promise<void> {
    const place = this.#place;
    await untilWritten(place, async () => {
      const [owned, newest] = await this.#owners.removal(threadId);
      const keys = await place.keys(threadPrefix(threadId));
      const last = checkpointsOf(keys).find((each) => isIn(each, ""))?.checkpoint;
      const remove = (each: readonly string[]) => each.map((key) => ({ key, text: null }));
      const others = remove(keys.filter((key) => key !== last));
      return writeInOrder(place, [others, owned, [newest], remove(last === undefined ? [] : [last])]);
    });
  }

  async #read(checkpoints: readonly CheckpointKeys[]): Promise<Map<string, string>> {
    const keys = checkpoints.flatMap(({ checkpoint, writes }) => [checkpoint, ...writes]);
    const texts = await this.#place.read(keys);
    return new Map(
      keys.flatMap((key, i): [string, string][] => {
        const text = texts[i] ?? null;
        return text === null ? [] : [[key, text]];
      }),
    );
  }

  /** undefined where the thread was deleted since its keys were listed. */
  async #toTuple(
    keys: CheckpointKeys,
    texts: ReadonlyMap<string, string>,
    config?: Config,
  ): Promise<CheckpointTuple | undefined> {
    const text = texts.get(keys.checkpoint);
    if (text === undefined) return undefined;
    const record = parseCheckpointText(keys.checkpoint, text);
    const checkpoint = await this.#load(keys.checkpoint, record.checkpoint, checkpointSchema);
    const parent = record.parent ? { ...record, id: record.parent } : undefined;
    if (checkpoint.v < 4 && parent) await this.#addSends(checkpoint, parent);
    return {
      config: config ?? configOf(record),
      checkpoint,
      metadata: await this.#load(keys.checkpoint, record.metadata, metadataSchema),
      ...(parent ? { parentConfig: configOf(parent) } : {}),
      pendingWrites: await this.#loadWrites(
        keys.writes.flatMap((key) => {
          const written = texts.get(key);
          return written === undefined ? [] : [parseWritesText(key, written)];
        }),
      ),
    };
  }

  /** By task and index, as LangGraph's PostgresSaver. */
  async #loadWrites(records: WritesRecord[]): Promise<[task: string, channel: string, value: unknown][]> {
    const ordered = records.sort((a, b) => (a.task < b.task ? -1 : 1));
    const all = ordered.flatMap((record) => record.writes.map((write) => ({ record, ...write })));
    return Promise.all(
      all.map(async ({ record, channel, value }) => [
        record.task,
        channel,
        await this.#load(writesKey(record), value, z.unknown()),
      ]),
    );
  }

  /** Before the fourth format of checkpoints, what was sent to nodes stood only in the writes of the parent. */
  async #addSends(checkpoint: Checkpoint, parent: CheckpointAddress): Promise<void> {
    const found = await this.#place.list(checkpointPrefix(parent));
    const records = found.filter(({ key }) => key !== checkpointKey(parent));
    const writes = await this.#loadWrites(records.map(({ key, text }) => parseWritesText(key, text)));
    checkpoint.channel_values[TASKS] = writes.flatMap(([, channel, value]) => (channel === TASKS ? [value] : []));
    const versions = Object.values(checkpoint.channel_versions);
    checkpoint.channel_versions[TASKS] =
      versions.length > 0 ? maxChannelVersion(...versions) : this.getNextVersion(undefined);
  }

  async #load<T>(key: string, [type, bytes]: Serialized, schema: z.ZodType<T>): Promise<T> {
    try {
      return schema.parse(await this.serde.loadsTyped(type, bytes));
    } catch (error) {
      throw unreadable(key, error);
    }
  }
}
