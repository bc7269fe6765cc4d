import type { Item } from "@langchain/langgraph-checkpoint";
import type { Email } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { type UserNamespaces, userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut, RankedSearch } from "../store/operations.ts";
import type { StoreAccess } from "./access.ts";
import {
  cleanContent,
  type EpisodicMemory,
  factKey,
  factPut,
  type ProposedMemory,
  pendingKey,
  pendingPut,
  pendingRecord,
  readMemories,
  supersedePuts,
  timeToLive,
  type UserFact,
} from "./episodic.ts";
import { CONTENT_LIMIT, daysOf, type MemoryRecord } from "./memory-record.ts";
import { type FactSearch, factSearch, recallable } from "./recall.ts";
import type { Scope } from "./scope.ts";
import type { Trust } from "./trust.ts";

const ATTEMPTS = 20;
/** Pending memories that one email can leave: what a flood of them hides is not looked at. */
const MOST_PENDING = 10;

/** A memory that another took the place of. */
export interface Superseded {
  key: string;
  content: string;
}

/** What became of a fact. `known`: memory says so already. */
export interface Remembered {
  key: string;
  content: string;
  status: "live" | "known";
  superseded: Superseded[];
}

/** Another scope than that of the pending memory; `people` take part in the conversation, where that is the scope. */
export interface OtherScope {
  scope: Scope;
  people?: string[];
}

/**
 * The facts about people and conversations of all users. What the user says is live at once; what a model made of mail
 * is pending until the user approves exactly that. Methods throw MnemailError("store") when the store fails.
 */
export class Facts {
  readonly #access: StoreAccess;

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /** All live facts of a user, newest first. */
  async list(userId: string): Promise<EpisodicMemory[]> {
    const found = readMemories(await this.#access.all(userNamespaces(userId).collection));
    return newestFirst(found.filter(({ record }) => record.kind === "fact"));
  }

  /** The live fact of a key, or undefined when the user has none. */
  async find(userId: string, key: string): Promise<EpisodicMemory | undefined> {
    const [item] = await this.#access.batch([{ namespace: userNamespaces(userId).collection, key }]);
    return readMemories(item ? [item] : [])[0];
  }

  /** The facts that others took the place of, newest first. */
  async superseded(userId: string): Promise<EpisodicMemory[]> {
    return newestFirst(readMemories(await this.#access.all(userNamespaces(userId).superseded)));
  }

  /** Facts that may be recalled, best first; with an email, those that it opens. An empty query finds nothing. */
  async search(userId: string, search: FactSearch): Promise<EpisodicMemory[]> {
    if (search.query.trim() === "") return [];
    const [items] = await this.#access.batch([factSearch(userNamespaces(userId), search, this.#access.isConditional)]);
    return recallable(items, search.email).slice(0, search.limit);
  }

  /** The recallable facts of one trust that are nearest to a text. */
  async nearest(userId: string, text: string, trust: Trust, limit: number): Promise<EpisodicMemory[]> {
    const search: RankedSearch = {
      namespacePrefix: userNamespaces(userId).collection,
      query: text,
      ranking: "hybrid",
      filter: { kind: "fact", trust },
      limit,
    };
    const [items] = await this.#access.batch([search]);
    return recallable(items);
  }

  /**
   * Keeps what the user stated, in the place of the memories it supersedes. The same words for the same scope are known
   * already; those that came from mail become the user's, who has now said them.
   *
   * @throws MnemailError("usage") for a text that is empty or too long; nothing was changed.
   */
  async remember(userId: string, fact: UserFact, at: string): Promise<Remembered> {
    const content = checkContent(fact.content);
    const namespaces = userNamespaces(userId);
    return this.#repeat(userId, async () => {
      const put = factPut(namespaces, { ...fact, content }, at);
      const { existing, others } = await this.#find(namespaces, put.key, fact.supersedes ?? []);
      const isKnown = existing?.value["trust"] === "user";
      const superseded = others.map(toSuperseded);
      const puts = [
        ...(isKnown ? [] : [{ ...put, expected: existing?.value ?? null }]),
        ...supersedePuts(namespaces, others, { key: put.key, at }),
      ];
      if (puts.length > 0 && !(await this.#access.putIf(puts))) return undefined;
      return { key: put.key, content, status: isKnown ? ("known" as const) : ("live" as const), superseded };
    });
  }

  /** What models want to remember and the user has not approved, newest first. */
  async pending(userId: string): Promise<EpisodicMemory[]> {
    return newestFirst(readMemories(await this.#access.all(userNamespaces(userId).pending)));
  }

  /**
   * The puts of what a model wants to remember of an email: not what is known, was rejected or waits already, and no
   * more than ten of one email. What it would supersede has to be there.
   */
  async pendingPuts(
    userId: string,
    email: Email,
    proposals: readonly ProposedMemory[],
    at: string,
  ): Promise<ConditionalPut[]> {
    if (proposals.length === 0) return [];
    const namespaces = userNamespaces(userId);
    const records = proposals
      .map((each) => pendingRecord(email, each, at))
      .filter(({ content }) => content !== "" && content.length <= CONTENT_LIMIT)
      .slice(0, MOST_PENDING);
    const waiting = await this.#access.all(namespaces.pending);
    const read = await this.#access.batch(
      records.flatMap((record) => [
        { namespace: namespaces.tombstones, key: pendingKey(record) },
        { namespace: namespaces.collection, key: factKey(record.content, record.scope) },
        { namespace: namespaces.collection, key: factKey(record.content) },
        { namespace: namespaces.collection, key: record.supersedes?.[0] ?? " " },
      ]),
    );
    let room = MOST_PENDING - waiting.filter(({ value }) => value["source"] === email.id).length;
    const known = new Set(waiting.map(({ key }) => key));
    return records.flatMap((record, i) => {
      const [rejected, same, forAll, target] = read.slice(4 * i, 4 * i + 4);
      const kept: MemoryRecord = { ...record };
      if (!target) delete kept.supersedes;
      const put = pendingPut(namespaces, kept);
      if (rejected || same || forAll || known.has(put.key) || room <= 0) return [];
      known.add(put.key);
      room -= 1;
      return [put];
    });
  }

  /**
   * Approves a pending memory: exactly the text, scope and replacement that its key stands for. It may be recalled from
   * then on, quoted, as what it is: derived from mail.
   *
   * @throws MnemailError("input") for a key that nothing waits under, or whose record is not the one it stands for.
   */
  async approve(userId: string, key: string, at: string, other?: OtherScope): Promise<Remembered> {
    const namespaces = userNamespaces(userId);
    return this.#repeat(userId, async () => {
      const { item, record } = await this.#waiting(userId, key);
      const value: MemoryRecord = { ...record, ...other, approved_at: at };
      const { content, scope } = value;
      const target = factKey(content, scope);
      const { existing, others } = await this.#find(namespaces, target, record.supersedes ?? []);
      const put = { namespace: namespaces.collection, key: target, value, expected: null, index: ["content"] };
      const puts: ConditionalPut[] = [
        { namespace: namespaces.pending, key, value: null, expected: item.value },
        ...(existing ? [] : [{ ...put, ...timeToLive(daysOf(value)) }]),
        ...supersedePuts(namespaces, others, { key: target, at }),
      ];
      if (!(await this.#access.putIf(puts))) return undefined;
      return { key: target, content, status: existing ? "known" : "live", superseded: others.map(toSuperseded) };
    });
  }

  /**
   * Rejects a pending memory. Its text is removed; a hash of it stays, so that it is not proposed again.
   *
   * @throws MnemailError("input") for a key that nothing waits under.
   */
  async reject(userId: string, key: string, at: string): Promise<Superseded> {
    const namespaces = userNamespaces(userId);
    return this.#repeat(userId, async () => {
      const { item, record } = await this.#waiting(userId, key);
      const puts: ConditionalPut[] = [
        { namespace: namespaces.pending, key, value: null, expected: item.value },
        { namespace: namespaces.tombstones, key, value: { kind: "rejected", at }, index: false },
      ];
      return (await this.#access.putIf(puts)) ? { key, content: record.content } : undefined;
    });
  }

  async #waiting(userId: string, key: string): Promise<{ item: Item; record: MemoryRecord }> {
    const [item] = await this.#access.batch([{ namespace: userNamespaces(userId).pending, key }]);
    const [memory] = readMemories(item ? [item] : []);
    if (!item || !memory) {
      const hint = `\`mnemail memory pending list --user ${userId}\` prints the ids`;
      throw new MnemailError("input", `pending memory ${JSON.stringify(key)}: ${userId} has none of that id`, hint);
    }
    if (pendingKey(memory.record) === key) return { item, record: memory.record };
    throw new MnemailError(
      "input",
      `pending memory ${key}: its text is not the one that this id stands for, so it was changed by another program`,
      "reject it with `mnemail memory forget --memory`; nothing was changed",
    );
  }

  /** The fact of a key, and those it would take the place of. */
  async #find(namespaces: UserNamespaces, key: string, supersedes: readonly string[]) {
    const { collection: namespace } = namespaces;
    const keys = [...new Set(supersedes)].filter((each) => each !== key);
    const [existing, ...others] = await this.#access.batch([key, ...keys].map((each) => ({ namespace, key: each })));
    return { existing: existing ?? undefined, others: others.filter((item) => item !== null) };
  }

  async #repeat<T>(userId: string, attempt: () => Promise<T | undefined>): Promise<T> {
    // The turn that learning takes too, so that neither makes the other's conditional puts fail.
    return this.#access.inTurn(`learn ${userId}`, async () => {
      for (let tried = 0; tried < ATTEMPTS; tried += 1) {
        const done = await attempt();
        if (done !== undefined) return done;
      }
      throw new MnemailError("store", `memory changed ${ATTEMPTS} times while it was updated`, "try again");
    });
  }
}

/**
 * A text as the content of a memory.
 *
 * @throws MnemailError("usage") for one that is empty or too long.
 */
export function checkContent(text: string): string {
  const content = cleanContent(text);
  if (content === "") {
    throw new MnemailError("usage", "memory: saw no visible text; expected one sentence", "say what to remember");
  }
  if (content.length <= CONTENT_LIMIT) return content;
  const seen = `saw ${content.length} characters; at most ${CONTENT_LIMIT} are allowed`;
  throw new MnemailError("usage", `memory: ${seen}`, "say it in one or two sentences");
}

function toSuperseded({ key, value }: Item): Superseded {
  return { key, content: String(value["content"] ?? "") };
}

function newestFirst(memories: EpisodicMemory[]): EpisodicMemory[] {
  return memories.sort((a, b) => {
    const [one, other] = [a.record.at ?? "", b.record.at ?? ""];
    return one < other ? 1 : one > other ? -1 : a.key < b.key ? -1 : Number(a.key > b.key);
  });
}
