import type { Item } from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import { hashText } from "../prompts.ts";
import { userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import type { StoreAccess } from "./access.ts";
import { canonicalJson } from "./canonical-json.ts";
import { timeToLive } from "./episodic.ts";
import { ThreadLeases } from "./thread-leases.ts";

/** How a user can answer what waits for them: the decisions of LangChain's human-in-the-loop middleware. */
export const DECISION_TYPES = ["approve", "edit", "reject", "respond"] as const;

/** One of {@link DECISION_TYPES}. */
export type DecisionType = (typeof DECISION_TYPES)[number];

/** Longer than any action waits, so that who answers one long decided is told. */
const KEPT_DAYS = 400;

/**
 * One action that waits for its user or did, by the id that stands for its payload; no text of it. `on_server` tells
 * whose checkpoints the thread is in; `answer` is a hash of the whole decision.
 */
export const reviewRecordSchema = z.looseObject({
  thread_id: z.string(),
  on_server: z.boolean(),
  at: z.string(),
  expires_at: z.string(),
  status: z.enum(["waiting", "replaced", ...DECISION_TYPES]),
  decided_at: z.string().optional(),
  answer: z.string().optional(),
  /** Whether what was decided is done and learnt from. */
  done: z.boolean().optional(),
});

/** See {@link reviewRecordSchema}. */
export type ReviewRecord = z.infer<typeof reviewRecordSchema> & { id: string };

/** An action that begins to wait. */
export interface Waiting {
  id: string;
  thread_id: string;
  on_server: boolean;
  at: string;
  expires_at: string;
}

/** A decision about an action; `answer` is all of it, and which giving of it. */
export interface Claim {
  id: string;
  type: DecisionType;
  answer: unknown;
}

/**
 * What waits for each user, and what they decided: who decides first, by a conditional put, decides. Methods throw
 * MnemailError("store") when the store fails.
 */
export class ReviewLog {
  readonly #access: StoreAccess;
  /** Who is at work on which thread. */
  readonly leases: ThreadLeases;

  constructor(access: StoreAccess) {
    this.#access = access;
    this.leases = new ThreadLeases(access);
  }

  /** The puts by which actions begin to wait. */
  puts(userId: string, waiting: readonly Waiting[]): ConditionalPut[] {
    const { reviews: namespace } = userNamespaces(userId);
    return waiting.map(({ id, ...record }) => {
      const value = { ...record, status: "waiting" } satisfies z.infer<typeof reviewRecordSchema>;
      return { namespace, key: id, value, index: false as const, ...timeToLive(KEPT_DAYS) };
    });
  }

  /** Says of actions that a new attempt took their place. What was decided meanwhile stays so. */
  async replace(userId: string, replaced: readonly Waiting[]): Promise<void> {
    const { reviews: namespace } = userNamespaces(userId);
    if (replaced.length === 0) return;
    await this.#access.repeat(userId, async () => {
      const found = await this.#access.batch(replaced.map(({ id }) => ({ namespace, key: id })));
      const puts = replaced.flatMap(({ id, ...record }, i): ConditionalPut[] => {
        const known = found[i]?.value;
        if (known && reviewRecordSchema.safeParse(known).data?.status !== "waiting") return [];
        const value = { ...record, ...known, status: "replaced" };
        return [{ namespace, key: id, value, expected: known ?? null, index: false, ...timeToLive(KEPT_DAYS) }];
      });
      return puts.length === 0 || (await this.#access.putIf(puts)) ? true : undefined;
    });
  }

  /** Whether an action was decided so: what is done is bound to what the log says. */
  async holds(userId: string, { id, type, answer }: Claim): Promise<boolean> {
    const { reviews: namespace } = userNamespaces(userId);
    const [found] = await this.#access.batch([{ namespace, key: id }]);
    const record = found ? readRecord(found)[0] : undefined;
    return record?.status === type && record.answer === nameAnswer(answer);
  }

  /** What waits or was decided and is not done, newest first. */
  async open(userId: string): Promise<ReviewRecord[]> {
    const all = (await this.#access.all(userNamespaces(userId).reviews)).flatMap(readRecord);
    return all
      .filter(({ status, done }) => status !== "replaced" && done !== true)
      .sort((a, b) => (a.at > b.at ? -1 : Number(a.at < b.at)));
  }

  /** Says of decided actions that they are done. */
  async finish(userId: string, ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const { reviews: namespace } = userNamespaces(userId);
    const found = await this.#access.batch(ids.map((key) => ({ namespace, key })));
    const puts = found.flatMap((item): ConditionalPut[] =>
      item ? [{ namespace, key: item.key, value: { ...item.value, done: true }, index: false }] : [],
    );
    await this.#access.batch(puts.map((put) => ({ ...put, ...timeToLive(KEPT_DAYS) })));
  }

  /** Every action, waiting or not, whose id begins so. */
  async find(userId: string, prefix: string): Promise<ReviewRecord[]> {
    const { reviews: namespace } = userNamespaces(userId);
    const [exact] = await this.#access.batch([{ namespace, key: prefix || " " }]);
    if (exact) return readRecord(exact);
    return (await this.#access.all(namespace)).filter(({ key }) => key.startsWith(prefix)).flatMap(readRecord);
  }

  /**
   * Decides actions for the first and only time. Of each: `claimed`, also where the same answer was given before, so that
   * a run that was cut off can go on; the record of another answer; or undefined for an action that nobody was asked about.
   */
  async claim(userId: string, claims: readonly Claim[], at: string): Promise<("claimed" | ReviewRecord | undefined)[]> {
    const { reviews: namespace } = userNamespaces(userId);
    return this.#access.repeat(userId, async () => {
      const found = await this.#access.batch(claims.map(({ id }) => ({ namespace, key: id })));
      const puts: ConditionalPut[] = [];
      const outcomes = claims.map(({ type, answer }, i) => {
        const [record] = found[i] ? readRecord(found[i]) : [];
        const hash = nameAnswer(answer);
        if (!record || !found[i]) return undefined;
        if (record.status === type && record.answer === hash) return "claimed" as const;
        if (record.status !== "waiting") return record;
        const value = { ...found[i].value, status: type, decided_at: at, answer: hash };
        const place = { namespace, key: record.id, index: false as const, ...timeToLive(KEPT_DAYS) };
        puts.push({ ...place, value, expected: found[i].value });
        return "claimed" as const;
      });
      return puts.length === 0 || (await this.#access.putIf(puts)) ? outcomes : undefined;
    });
  }

  /** Says of actions that nobody was asked about that they wait now. */
  async ask(userId: string, waiting: readonly Waiting[]): Promise<void> {
    if (waiting.length > 0) await this.#access.batch(this.puts(userId, waiting));
  }
}

function nameAnswer(answer: unknown): string {
  return hashText(canonicalJson(answer), 32);
}

function readRecord({ key, value }: Item): ReviewRecord[] {
  const record = reviewRecordSchema.safeParse(value).data;
  return record ? [{ ...record, id: key }] : [];
}
