import type { Item } from "@langchain/langgraph-checkpoint";
import { MnemailError } from "../errors.ts";
import { NO_USAGE } from "../meter.ts";
import { hashText, type LearnablePrompt, type Prompts } from "../prompts.ts";
import { jsonEqual } from "../store/json-equal.ts";
import { type UserNamespaces, userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import type { StoreAccess } from "./access.ts";
import {
  type Change,
  type FeedbackRecord,
  feedbackRecordSchema,
  type Receipt,
  receiptSchema,
} from "./feedback-record.ts";
import { liveVersion, readLog, restoreOperation, undoTarget, type Version, versionsOf } from "./history.ts";
import { factKeys, type Lesson, prepareLesson } from "./lesson.ts";
import { readPrompt } from "./procedural.ts";
import { newOperations, type PromptHistory, ruleChange, versionPuts } from "./version-puts.ts";
import { type ProposalRecord, proposalRecordSchema } from "./versions.ts";

const LOG_PAGE = 10_000;

/** Who acts on memory, and when. */
export interface Act {
  actor: string;
  channel: string;
  at: string;
}

/**
 * What users said and what became of it: the log of feedback, the receipts, the versions of the prompts and the
 * changes that wait. Feedback is logged before anything is learnt from it; a receipt is written with the change or
 * not at all, so that what is learnt under one key is learnt once.
 *
 * Methods throw MnemailError("store") when the store fails.
 */
export class Ledger {
  readonly #access: StoreAccess;
  readonly #prompts: Prompts;

  constructor(access: StoreAccess, prompts: Prompts) {
    this.#access = access;
    this.#prompts = prompts;
  }

  /**
   * Logs a feedback, unless its key was used. Returns the record that counts, and its receipt where there is one.
   *
   * @throws MnemailError("usage") for a key under which something else was said.
   */
  async log(userId: string, record: FeedbackRecord): Promise<{ record: FeedbackRecord; receipt: Receipt | undefined }> {
    const at = userNamespaces(userId);
    const put: ConditionalPut = { namespace: at.feedback, key: record.id, value: record, expected: null, index: false };
    const found = await this.find(userId, record.id);
    if (!found.record && (await this.#access.putIf([put]))) return { record, receipt: undefined };
    const { record: logged, receipt } = found.record ? found : await this.find(userId, record.id);
    // The draft may have been written anew since; what the user says of it is the same.
    const said = (each: FeedbackRecord | undefined) => ({ ...each, at: null, before: null });
    if (logged && jsonEqual(said(logged), JSON.parse(JSON.stringify(said(record))))) return { record: logged, receipt };
    throw new MnemailError("usage", `feedback: the key ${record.id} was used for another feedback`, "give another key");
  }

  /** The feedback of a key and its receipt. */
  async find(
    userId: string,
    id: string,
  ): Promise<{ record: FeedbackRecord | undefined; receipt: Receipt | undefined }> {
    const at = userNamespaces(userId);
    const [logged, receipt] = await this.#access.batch([
      { namespace: at.feedback, key: id },
      { namespace: at.receipts, key: id },
    ]);
    return {
      record: feedbackRecordSchema.safeParse(logged?.value).data,
      receipt: receiptSchema.safeParse(receipt?.value).data,
    };
  }

  /** The feedback that nothing became of yet, oldest first. */
  async unlearnt(userId: string): Promise<FeedbackRecord[]> {
    const at = userNamespaces(userId);
    const receipts = new Set((await this.#access.all(at.receipts)).map(({ key }) => key));
    return (await this.#access.all(at.feedback))
      .filter(({ key }) => !receipts.has(key))
      .flatMap(({ value }) => feedbackRecordSchema.safeParse(value).data ?? [])
      .sort((a, b) => (a.at < b.at ? -1 : Number(a.at > b.at)));
  }

  /**
   * Gives up a feedback that waits: it is never learnt, and stays in the log with a receipt that says so.
   *
   * @throws MnemailError("input") when nothing waits under that key.
   */
  async discard(userId: string, id: string, act: Act): Promise<void> {
    const { record, receipt } = await this.find(userId, id);
    const usage = { before: { ...NO_USAGE }, gate: { ...NO_USAGE } };
    const notes = [`discarded by ${act.actor}`];
    const value = { feedback: id, kind: record?.kind ?? "", at: act.at, changes: [], notes, gate: null, usage };
    const put = { namespace: userNamespaces(userId).receipts, key: id, value, expected: null, index: false as const };
    if (record && !receipt && (await this.#access.putIf([put]))) return;
    throw new MnemailError("input", `feedback ${id}: does not wait`, "`mnemail memory show` names those that do");
  }

  /** The four prompts with their versions, as of one moment. */
  async histories(userId: string): Promise<Record<LearnablePrompt, PromptHistory>> {
    const at = userNamespaces(userId);
    const [ignore, notify, respond, instructions, page] = await this.#access.batch([
      { namespace: at.prompts, key: "triage_ignore" },
      { namespace: at.prompts, key: "triage_notify" },
      { namespace: at.prompts, key: "triage_respond" },
      { namespace: at.prompts, key: "agent_instructions" },
      { namespacePrefix: at.versions, limit: LOG_PAGE },
    ]);
    const log = readLog(page.length < LOG_PAGE ? page : await this.#access.all(at.versions));
    const history = (name: LearnablePrompt, item: Item | null): PromptHistory => {
      const prompt = readPrompt(name, item, this.#prompts);
      return { prompt, versions: versionsOf(prompt, log, this.#access.isConditional) };
    };
    return {
      triage_ignore: history("triage_ignore", ignore),
      triage_notify: history("triage_notify", notify),
      triage_respond: history("triage_respond", respond),
      agent_instructions: history("agent_instructions", instructions),
    };
  }

  /**
   * Writes what was learnt from one feedback: its example, facts, versions, proposal and receipt, all or none. Who
   * finds something changed reads it again and adds to that, so that two writers at once lose nothing; a feedback that
   * has a receipt by now is left as it is, and that receipt returned. With `dryRun` nothing is written.
   */
  async commit(userId: string, lesson: Lesson, options: { dryRun?: boolean } = {}): Promise<Receipt> {
    return this.#access.repeat(userId, async () => {
      const { receipt: earlier } = await this.find(userId, lesson.feedback.id);
      if (earlier) return earlier;
      const { puts, receipt } = await this.#prepare(userId, lesson);
      return options.dryRun || (await this.#access.putIf(puts)) ? receipt : undefined;
    });
  }

  async #prepare(userId: string, lesson: Lesson): Promise<{ puts: ConditionalPut[]; receipt: Receipt }> {
    const at = userNamespaces(userId);
    const keys = factKeys(lesson).map((key) => ({ namespace: at.collection, key }));
    const known = keys.length > 0 ? await this.#access.batch(keys) : [];
    const changesPrompts = lesson.live.length + lesson.proposed.length > 0;
    return prepareLesson(at, lesson, {
      facts: new Map(known.flatMap((item) => (item ? [[item.key, item] as const] : []))),
      histories: changesPrompts ? await this.histories(userId) : undefined,
      proposal: await this.#nextProposal(at, lesson),
    });
  }

  /** The number that a proposal of this lesson would get, and its key. */
  async #nextProposal(at: UserNamespaces, { proposed, feedback }: Lesson): Promise<{ number: number; key: string }> {
    const found = proposed.length > 0 ? await this.#proposals(at) : [];
    const number = (found.at(-1)?.record.number ?? 0) + 1;
    // Where two processes can take one number, each proposal still has a key of its own.
    const suffix = this.#access.isConditional ? "" : `-${hashText(feedback.id)}`;
    return { number, key: `${String(number).padStart(6, "0")}${suffix}` };
  }

  /** Makes the state of an older version live as a new version: the one before the last change unless another is named. */
  async rollback(userId: string, name: LearnablePrompt, to: number | undefined, act: Act) {
    return this.#access.repeat(userId, async () => {
      const history = (await this.histories(userId))[name];
      const live = liveVersion(history.versions);
      const target = to === undefined ? undoTarget(history.versions, live) : this.versionOf(history, to);
      if (!target) {
        throw new MnemailError("input", `${name}: is at its default, which has no version before it`);
      }
      if (target.text === live.text) {
        const same = target === live ? "is the live one" : `is the same as the live one, ${live.number}`;
        throw new MnemailError("input", `${name}: version ${target.number} ${same}`);
      }
      const operation = restoreOperation(target.state, live.state);
      const origin = { feedback: null, gate: null, accepted: false, restores: target.number, model: null };
      const author = { actor: act.actor, channel: act.channel };
      const puts = versionPuts(userNamespaces(userId), history, [operation], { ...origin, author, at: act.at });
      return (await this.#access.putIf(puts)) ? { from: live, to: target, version: live.number + 1 } : undefined;
    });
  }

  /** @throws MnemailError("input") for a number that no version has. */
  versionOf({ prompt, versions }: PromptHistory, number: number): Version {
    const found = versions.find((version) => version.number === number);
    if (found) return found;
    const last = liveVersion(versions).number;
    throw new MnemailError("input", `${prompt.name}: has no version ${number}`, `its versions are 0 to ${last}`);
  }

  /** The changes that were proposed, by number; only those that wait unless `all`. */
  async proposals(userId: string, options: { all?: boolean } = {}): Promise<ProposalRecord[]> {
    const found = await this.#proposals(userNamespaces(userId));
    return found.map(({ record }) => record).filter(({ status }) => options.all || status === "open");
  }

  async #proposals(at: UserNamespaces): Promise<{ item: Item; record: ProposalRecord }[]> {
    const found = (await this.#access.all(at.proposals))
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .flatMap((item) => {
        const record = proposalRecordSchema.safeParse(item.value);
        return record.success ? [{ item, record: record.data }] : [];
      });
    let last = 0;
    return found.map(({ item, record }) => {
      last = Math.max(record.number, last + 1);
      return { item, record: { ...record, number: last } };
    });
  }

  /**
   * Accepts or rejects a proposed change. Accepted, it goes live as it is, although its test had not passed.
   *
   * @throws MnemailError("input") for a number that no open proposal has.
   */
  async decide(userId: string, number: number, verdict: "accepted" | "rejected", act: Act): Promise<Change[]> {
    const at = userNamespaces(userId);
    return this.#access.repeat(userId, async () => {
      const found = (await this.#proposals(at)).find(({ record }) => record.number === number);
      if (!found) {
        throw new MnemailError("input", `proposal ${number}: there is none`, "`mnemail memory proposed` lists them");
      }
      const { item, record } = found;
      if (record.status !== "open") throw new MnemailError("input", `proposal ${number}: was ${record.status} already`);
      const value = { ...item.value, status: verdict, decided_at: act.at, decided_by: act.actor };
      const { namespace, key } = item;
      const puts: ConditionalPut[] = [{ namespace, key, value, expected: item.value, index: false }];
      const changes: Change[] = [];
      const histories = await this.histories(userId);
      for (const change of record.changes) {
        const history = histories[change.prompt];
        const { fresh, known } = newOperations(history, change.operations);
        const version = liveVersion(history.versions).number;
        if (verdict === "accepted" && fresh.length > 0) {
          const { author, feedback, gate, model } = record;
          const origin = { author, feedback, gate, model, accepted: true, restores: null, at: act.at };
          puts.push(...versionPuts(at, history, fresh, origin));
        }
        const outcome =
          verdict === "accepted" ? { status: "live" as const, version: version + 1 } : { status: "proposed" as const };
        changes.push(
          ...fresh.map((each) => ruleChange(change.prompt, history, each, { ...outcome, proposal: number })),
        );
        changes.push(...known.map((each) => ruleChange(change.prompt, history, each, { status: "known", version })));
      }
      return (await this.#access.putIf(puts)) ? changes : undefined;
    });
  }
}
