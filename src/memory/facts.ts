import type { Item } from "@langchain/langgraph-checkpoint";
import { MnemailError } from "../errors.ts";
import { type UserNamespaces, userNamespaces } from "../store/namespaces.ts";
import type { RankedSearch } from "../store/operations.ts";
import type { StoreAccess } from "./access.ts";
import { type Cost, costPut } from "./costs.ts";
import {
  cleanContent,
  type EpisodicMemory,
  factPut,
  readMemories,
  revivedPut,
  supersedePuts,
  type UserFact,
} from "./episodic.ts";
import { CONTENT_LIMIT } from "./memory-record.ts";
import { type FactSearch, factSearch, recallable } from "./recall.ts";
import type { ComparedEmail } from "./records.ts";
import { similarityText } from "./semantic.ts";
import type { Trust } from "./trust.ts";

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

/**
 * The live facts about people and conversations of all users. What the user says is live at once; what a model made of
 * mail comes by way of `pending.ts`. Methods throw MnemailError("store") when the store fails.
 */
export class Facts {
  readonly #access: StoreAccess;

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /** Tells that an email will be compared with what is remembered: a store of ours embeds its text meanwhile. */
  expect(email: ComparedEmail): void {
    this.#access.expectQuery(similarityText(email));
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
   * Keeps what the user stated, in the place of the memories it supersedes, and what finding these cost. The same words
   * for the same scope are known already; those that came from mail become the user's, who has now said them.
   *
   * @throws MnemailError("usage") for a text that is empty or too long; nothing was changed.
   */
  async remember(userId: string, fact: UserFact, at: string, cost?: Cost): Promise<Remembered> {
    const content = checkContent(fact.content);
    const namespaces = userNamespaces(userId);
    return this.#access.repeat(userId, async () => {
      const put = factPut(namespaces, { ...fact, content }, at);
      const { existing, others } = await findFact(this.#access, namespaces, put.key, fact.supersedes ?? []);
      const isKnown = existing?.value["trust"] === "user";
      const superseded = others.map(toSuperseded);
      const puts = [
        ...(isKnown ? [] : [{ ...put, expected: existing?.value ?? null }, revivedPut(namespaces, put.key)]),
        ...supersedePuts(namespaces, others, { key: put.key, at }),
        ...(cost ? [costPut(namespaces, cost)] : []),
      ];
      if (puts.length > 0 && !(await this.#access.putIfAnyway(puts))) return undefined;
      return { key: put.key, content, status: isKnown ? ("known" as const) : ("live" as const), superseded };
    });
  }

  /**
   * Takes a fact back: it is superseded, and nothing takes its place.
   *
   * @throws MnemailError("input") when the user has no live fact of that key.
   */
  async retire(userId: string, key: string, at: string): Promise<Superseded> {
    const namespaces = userNamespaces(userId);
    return this.#access.repeat(userId, async () => {
      const [item] = await this.#access.batch([{ namespace: namespaces.collection, key }]);
      if (item?.value["kind"] !== "fact") {
        throw new MnemailError("input", `memory ${JSON.stringify(key)}: ${userId} has no fact of that id`);
      }
      const puts = supersedePuts(namespaces, [item], { key: null, at });
      return (await this.#access.putIf(puts)) ? toSuperseded(item) : undefined;
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

/** A memory as one that another took the place of. */
export function toSuperseded({ key, value }: Item): Superseded {
  return { key, content: String(value["content"] ?? "") };
}

/** Memories by the time they were recorded, the newest first. */
export function newestFirst(memories: EpisodicMemory[]): EpisodicMemory[] {
  return memories.sort((a, b) => {
    const [one, other] = [a.record.at ?? "", b.record.at ?? ""];
    return one < other ? 1 : one > other ? -1 : a.key < b.key ? -1 : Number(a.key > b.key);
  });
}

/** The fact of a key, and those it would take the place of. */
export async function findFact(
  access: StoreAccess,
  { collection: namespace }: UserNamespaces,
  key: string,
  supersedes: readonly string[],
) {
  const keys = [...new Set(supersedes)].filter((each) => each !== key);
  const [existing, ...others] = await access.batch([key, ...keys].map((each) => ({ namespace, key: each })));
  return { existing: existing ?? undefined, others: others.filter((item) => item !== null) };
}
