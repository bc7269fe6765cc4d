import type { Item } from "@langchain/langgraph-checkpoint";
import type { Email } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { hashText } from "../prompts.ts";
import { userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import type { StoreAccess } from "./access.ts";
import { type Cost, costPut } from "./costs.ts";
import {
  type EpisodicMemory,
  factKey,
  type ProposedMemory,
  pendingKey,
  pendingPut,
  pendingRecord,
  readMemories,
  revivedPut,
  supersedePuts,
  timeToLive,
} from "./episodic.ts";
import { checkContent, findFact, newestFirst, type Remembered, type Superseded, toSuperseded } from "./facts.ts";
import { CONTENT_LIMIT, daysOf, type MemoryRecord, memoryRecordSchema } from "./memory-record.ts";
import type { Scope } from "./scope.ts";
import { leastTrust } from "./trust.ts";

/** Pending memories that one email can leave, and those that no email left: what a flood hides is not looked at. */
const MOST_PENDING = 10;

/** Another scope than that of the pending memory; `people` take part in the conversation, where that is the scope. */
export interface OtherScope {
  scope: Scope;
  people?: string[];
}

/** What the user decides with an approval: another scope, and which live facts it takes the place of besides. */
export interface ApprovalTerms extends Partial<OtherScope> {
  supersedes?: readonly string[];
}

/** By which a rejected memory is known again, in whatever spelling: of its words and scope. */
function rejectionKey({ content, scope }: MemoryRecord): string {
  return `rejected-${factKey(content, scope)}`;
}

/** What a model asks for with the memory tool. */
export interface MemoryRequest {
  action: "create" | "update" | "delete";
  content: string | null;
  id: string | null;
}

/**
 * What models want to remember and the users have not approved: listed, never recalled. Methods throw
 * MnemailError("store") when the store fails.
 */
export class Pending {
  readonly #access: StoreAccess;

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /** What models want to remember and the user has not approved, newest first. */
  async list(userId: string): Promise<EpisodicMemory[]> {
    return newestFirst(readMemories(await this.#access.all(userNamespaces(userId).pending)));
  }

  /**
   * The puts of what a model wants to remember of an email: not what is known, was rejected or waits already, and no
   * more than ten of one email. What it would supersede has to be there.
   */
  async puts(
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
        { namespace: namespaces.tombstones, key: rejectionKey(record) },
        { namespace: namespaces.collection, key: factKey(record.content, record.scope) },
        { namespace: namespaces.collection, key: factKey(record.content) },
        { namespace: namespaces.collection, key: record.supersedes?.[0] ?? " " },
        { namespace: namespaces.superseded, key: factKey(record.content, record.scope) },
      ]),
    );
    let room = MOST_PENDING - waiting.filter(({ value }) => value["source"] === email.id).length;
    const wordsOf = ({ content, scope }: MemoryRecord) => factKey(content, scope);
    const known = new Set(readMemories(waiting).map(({ record }) => wordsOf(record)));
    return records.flatMap((record, i) => {
      const [rejected, same, forAll, target, outdated] = read.slice(5 * i, 5 * i + 5);
      // What this email said and something newer took the place of; another email may say it again.
      const isOutdated = outdated?.value["source"] === email.id;
      const kept: MemoryRecord = { ...record };
      if (target?.value["kind"] !== "fact") delete kept.supersedes;
      const put = pendingPut(namespaces, kept);
      if (rejected || same || forAll || isOutdated || known.has(wordsOf(kept)) || room <= 0) return [];
      known.add(wordsOf(kept));
      room -= 1;
      return [put];
    });
  }

  /**
   * Approves a pending memory: exactly the text, scope and replacement that its key stands for. It may be recalled from
   * then on, quoted, as what it is: derived from mail. `cost` is what comparing it with others took.
   *
   * @throws MnemailError("input") for a key that nothing waits under, or whose record is not the one it stands for.
   */
  async approve(
    userId: string,
    key: string,
    at: string,
    { supersedes: more = [], ...other }: ApprovalTerms = {},
    cost?: Cost,
  ): Promise<Remembered> {
    const namespaces = userNamespaces(userId);
    return this.#access.repeat(userId, async () => {
      const { item, record } = await this.#waiting(userId, key);
      // Approval does not make a stranger's word the user's.
      const trust = leastTrust("mail", record.trust);
      const superseded = [...(record.supersedes ?? []), ...more];
      const value: MemoryRecord = {
        ...{ ...record, ...other, trust, approved_at: at },
        ...(superseded.length > 0 ? { supersedes: superseded } : {}),
      };
      const { content, scope } = value;
      const target = factKey(content, scope);
      const { existing, others } = await findFact(this.#access, namespaces, target, superseded);
      const put = { namespace: namespaces.collection, key: target, value, index: ["content"] };
      // What is neither the user's nor approved is never recalled: it gives way.
      const isKnown = existing?.value["trust"] === "user" || existing?.value["approved_at"] !== undefined;
      const puts: ConditionalPut[] = [
        { namespace: namespaces.pending, key, value: null, expected: item.value },
        ...(isKnown
          ? []
          : [
              { ...put, expected: existing?.value ?? null, ...timeToLive(daysOf(value)) },
              revivedPut(namespaces, target),
            ]),
        ...supersedePuts(namespaces, others, { key: target, at }),
        ...(cost ? [costPut(namespaces, cost)] : []),
      ];
      if (!(await this.#access.putIfAnyway(puts))) return undefined;
      return { key: target, content, status: isKnown ? "known" : "live", superseded: others.map(toSuperseded) };
    });
  }

  /**
   * Rejects a pending memory. Its text is removed; a hash of it stays, so that it is not proposed again.
   *
   * @throws MnemailError("input") for a key that nothing waits under.
   */
  async reject(userId: string, key: string, at: string): Promise<Superseded> {
    const namespaces = userNamespaces(userId);
    return this.#access.repeat(userId, async () => {
      const { item, record } = await this.#waiting(userId, key);
      const puts: ConditionalPut[] = [
        { namespace: namespaces.pending, key, value: null, expected: item.value },
        { namespace: namespaces.tombstones, key: rejectionKey(record), value: { kind: "rejected", at }, index: false },
      ];
      return (await this.#access.putIf(puts)) ? { key, content: record.content } : undefined;
    });
  }

  /**
   * Does what a model asks for in a conversation that holds strangers' words: what it wants to keep waits, for every
   * email; of what waits it can change and withdraw what came about this way, and nothing that an email left; what is
   * live it can only propose to replace. Returns what became of it, in words for the model.
   *
   * @throws MnemailError("usage") for content that is empty or too long.
   */
  async propose(userId: string, { action, content, id }: MemoryRequest, at: string): Promise<string> {
    const namespaces = userNamespaces(userId);
    const text = action === "delete" ? undefined : checkContent(content ?? "");
    return this.#access.repeat(userId, async () => {
      const [waiting, live] = await this.#access.batch([
        { namespace: namespaces.pending, key: id ?? " " },
        { namespace: namespaces.collection, key: id ?? " " },
      ]);
      const own = waiting && waiting.value["source"] === undefined ? waiting : undefined;
      const isFact = live?.value["kind"] === "fact";
      if (action === "delete" && isFact) return `Refused: ${id} is remembered, and only the user removes it.`;
      if (action !== "create" && !own && !isFact) return `Refused: there is no memory ${id} that can be changed here.`;
      const withdrawn = action === "create" ? undefined : own;
      const puts: ConditionalPut[] = withdrawn
        ? [{ namespace: namespaces.pending, key: withdrawn.key, value: null, expected: withdrawn.value }]
        : [];
      if (text === undefined) return (await this.#access.putIf(puts)) ? `deleted memory ${id}` : undefined;
      const supersedes = withdrawn ? withdrawn.value["supersedes"] : isFact ? [id] : undefined;
      const record = memoryRecordSchema.parse({
        ...{ content: text, kind: "fact", trust: "mail", scope: "all", author: "agent", at, valid_from: at },
        ...(supersedes === undefined ? {} : { supersedes }),
      });
      const put = pendingPut(namespaces, record);
      const [rejected] = await this.#access.batch([{ namespace: namespaces.tombstones, key: rejectionKey(record) }]);
      if (rejected) return "Refused: the user rejected that before.";
      const others = (await this.#access.all(namespaces.pending)).filter(({ value }) => value["source"] === undefined);
      if (puts.length === 0 && others.length >= MOST_PENDING) {
        return `Refused: ${others.length} memories wait for the user already.`;
      }
      // The same words again change nothing.
      const changes = put.key === withdrawn?.key ? [] : [...puts, put];
      if (changes.length > 0 && !(await this.#access.putIf(changes))) return undefined;
      return `proposed memory ${put.key}, for the user to approve`;
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
    // Before there were scopes, the key was of the email and the text.
    const { record } = memory;
    if (item.value["scope"] === undefined && key === `pending-${hashText(`${record.source}${record.content}`)}`) {
      return { item, record: { ...record, scope: `person:${record.person ?? "nobody"}` } };
    }
    throw new MnemailError(
      "input",
      `pending memory ${key}: its text is not the one that this id stands for, so it was changed by another program`,
      "reject it with `mnemail memory forget --memory`; nothing was changed",
    );
  }
}
