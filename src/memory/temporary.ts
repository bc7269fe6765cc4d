import { isDeepStrictEqual } from "node:util";
import type { Item } from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { threadNamespace, userNamespaces } from "../store/namespaces.ts";
import type { StoreAccess } from "./access.ts";

const MINUTE_MS = 60_000;
const DEFAULT_MINUTES = 24 * 60;
const LONGEST_MINUTES = 366 * 24 * 60;

const recordSchema = z.object({ value: z.json(), expires_at: z.iso.datetime() });

/** A value that JSON can hold. */
export type JsonValue = z.infer<typeof recordSchema>["value"];

/** One item of a thread's temporary data; `expiresAt` is ISO 8601. */
export interface TemporaryItem {
  key: string;
  value: JsonValue;
  expiresAt: string;
}

/**
 * Temporary data: what one thread of one user needs for a while, and nothing else should find. It is never recalled, and
 * not indexed. Our own stores take an item away when its time is over; on any other `BaseStore` reads hide it, and
 * `cleanUp` removes it.
 *
 * Methods throw MnemailError("usage") for an empty user or thread id, MnemailError("store") when the store fails.
 */
export class TemporaryData {
  readonly #access: StoreAccess;
  readonly #now: () => Date;

  constructor(access: StoreAccess, now: () => Date = () => new Date()) {
    this.#access = access;
    this.#now = now;
  }

  /**
   * Keeps a value for so many minutes from now, 24 hours unless said otherwise, in place of the key's earlier one.
   *
   * @throws MnemailError("usage") for minutes that are not whole, under 1 or over a year.
   */
  async put(
    userId: string,
    threadId: string,
    key: string,
    value: JsonValue,
    { minutes = DEFAULT_MINUTES }: { minutes?: number } = {},
  ): Promise<void> {
    if (!Number.isInteger(minutes) || minutes < 1 || minutes > LONGEST_MINUTES) {
      const expected = `expected whole minutes from 1 to ${LONGEST_MINUTES}`;
      throw new MnemailError("usage", `temporary data ${JSON.stringify(key)}: saw ${minutes} minutes; ${expected}`);
    }
    const expiresAt = new Date(this.#now().getTime() + minutes * MINUTE_MS).toISOString();
    const record = { value, expires_at: expiresAt };
    const namespace = threadNamespace(userId, threadId);
    await this.#access.putIf([{ namespace, key, value: record, ttlMinutes: minutes, index: false }]);
  }

  /** The value of a key, or undefined where there is none or its time is over. */
  async get(userId: string, threadId: string, key: string): Promise<JsonValue | undefined> {
    const [item] = await this.#access.batch([{ namespace: threadNamespace(userId, threadId), key }]);
    return this.#read(item ? [item] : [])[0]?.value;
  }

  /** What a thread has at this time, by key. */
  async list(userId: string, threadId: string): Promise<TemporaryItem[]> {
    return this.#read(await this.#items(threadNamespace(userId, threadId))).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Removes everything of a thread; returns how many items that were. */
  async clear(userId: string, threadId: string): Promise<number> {
    return this.#remove(await this.#items(threadNamespace(userId, threadId)));
  }

  /**
   * Removes what is past its time in all threads of a user; returns how many items that were. Our own stores hide it
   * even from this, and remove it when they are swept (`mnemail memory sweep`).
   */
  async cleanUp(userId: string): Promise<number> {
    const root = userNamespaces(userId).temporary;
    const items = await this.#access.all(root);
    const below = items.filter(({ namespace }) => isDeepStrictEqual(namespace.slice(0, root.length), root));
    return this.#remove(below.filter((item) => this.#isOver(recordSchema.safeParse(item.value).data)));
  }

  /** Some stores match prefixes as text, and would find thread `ab` below `a`. */
  async #items(namespace: string[]): Promise<Item[]> {
    return (await this.#access.all(namespace)).filter((item) => isDeepStrictEqual(item.namespace, namespace));
  }

  #read(items: readonly Item[]): TemporaryItem[] {
    return items.flatMap(({ key, value }) => {
      const record = recordSchema.safeParse(value).data;
      return record && !this.#isOver(record) ? [{ key, value: record.value, expiresAt: record.expires_at }] : [];
    });
  }

  #isOver(record: { expires_at: string } | undefined): boolean {
    return record !== undefined && Date.parse(record.expires_at) <= this.#now().getTime();
  }

  async #remove(items: readonly Item[]): Promise<number> {
    if (items.length > 0)
      await this.#access.batch(items.map(({ namespace, key }) => ({ namespace, key, value: null })));
    return items.length;
  }
}
