import { randomUUID } from "node:crypto";
import type { BaseStore, Operation, OperationResults } from "@langchain/langgraph-checkpoint";
import { type Email, senderAddress } from "../email.ts";
import { MnemailError, renderError } from "../errors.ts";
import { count } from "../meter.ts";
import { LEARNABLE_PROMPTS, type LearnablePrompt, type Prompts } from "../prompts.ts";
import { type ConditionalPut, MnemailStore } from "../store/mnemail-store.ts";
import { type UserNamespaces, userNamespaces } from "../store/namespaces.ts";
import { conversationPut, type EpisodicMemory, FACT_INDEX, readMemories, recall } from "./episodic.ts";
import { initialise, promptPut, readPrompt, type UserPrompt } from "./procedural.ts";
import { PROFILE_KEY, type Profile, profileSchema } from "./profile.ts";
import { type DecisionRecord, decisionRecordSchema, type Label, type MemoryRecord, type Rule } from "./records.ts";
import { type Example, examplePut, nearestExamples, readExamples } from "./semantic.ts";

const PAGE = 200;
const COMMIT_ATTEMPTS = 8;

/** What triage reads: three prompts, the nearest examples and the profile. */
export interface TriageMemory {
  prompts: { ignore: UserPrompt; notify: UserPrompt; respond: UserPrompt };
  examples: Example[];
  profile: Profile;
}

/** What answering reads: the instructions, the profile, and what is known about the sender and the subject. */
export interface AnswerMemory {
  instructions: UserPrompt;
  memories: EpisodicMemory[];
  profile: Profile;
}

/** All that is kept about one user, by kind. */
export interface UserMemory {
  procedural: UserPrompt[];
  semantic: Example[];
  episodic: (EpisodicMemory & { status: "active" | "pending" })[];
}

/**
 * The long-term memory of all users over one LangGraph store. Everything that reads or writes memory goes
 * through here, so that namespaces, defaults and trust are decided once. Nodes hold this service rather than
 * `runtime.store`, which inside a node is a wrapper that drops `index` and cannot batch.
 *
 * Methods throw MnemailError("store") when the store fails, except the two `readFor…`, which fall back to the
 * defaults, tell `warn`, and write nothing.
 */
export class Memory {
  readonly #store: BaseStore;
  readonly #prompts: Prompts;
  readonly #warn: (line: string) => void;

  constructor(store: BaseStore, prompts: Prompts, warn: (line: string) => void = () => {}) {
    this.#store = store;
    this.#prompts = prompts;
    this.#warn = warn;
  }

  /** One round trip for triage; one more, the first time, to write the defaults. */
  async readForTriage(userId: string, email: Email): Promise<TriageMemory> {
    const at = userNamespaces(userId);
    const read = await this.#readOrWarn(() =>
      this.#batch([
        { namespace: at.prompts, key: "triage_ignore" },
        { namespace: at.prompts, key: "triage_notify" },
        { namespace: at.prompts, key: "triage_respond" },
        { namespace: at.profile, key: PROFILE_KEY },
        nearestExamples(at, email),
      ]),
    );
    const [ignoreItem, notifyItem, respondItem, profile, examples] = read ?? [null, null, null, null, []];
    const ignore = readPrompt("triage_ignore", ignoreItem, this.#prompts);
    const notify = readPrompt("triage_notify", notifyItem, this.#prompts);
    const respond = readPrompt("triage_respond", respondItem, this.#prompts);
    if (read) await this.#initialise(at, [ignore, notify, respond]);
    return {
      prompts: { ignore, notify, respond },
      examples: readExamples(examples),
      profile: this.#parseProfile(profile?.value),
    };
  }

  /** One round trip for answering; one more, the first time, to write the default. */
  async readForAnswer(userId: string, email: Email): Promise<AnswerMemory> {
    const at = userNamespaces(userId);
    const read = await this.#readOrWarn(() =>
      this.#batch([
        { namespace: at.prompts, key: "agent_instructions" },
        { namespace: at.profile, key: PROFILE_KEY },
        ...recall(at, email),
      ]),
    );
    const [instructionsItem, profile, facts, conversations] = read ?? [null, null, [], []];
    const instructions = readPrompt("agent_instructions", instructionsItem, this.#prompts);
    if (read) await this.#initialise(at, [instructions]);
    return {
      instructions,
      memories: readMemories([...conversations, ...facts]),
      profile: this.#parseProfile(profile?.value),
    };
  }

  /** The user's profile; of a user who gave none, the defaults. */
  async readProfile(userId: string): Promise<Profile> {
    const [item] = await this.#batch([{ namespace: userNamespaces(userId).profile, key: PROFILE_KEY }]);
    return this.#parseProfile(item?.value);
  }

  /** Facts that the user said or approved, best match first. Pending ones are never found. */
  async searchFacts(userId: string, query: string, limit: number): Promise<EpisodicMemory[]> {
    const [items] = await this.#batch([
      { namespacePrefix: userNamespaces(userId).collection, query, filter: { kind: "fact" }, limit },
    ]);
    return readMemories(items);
  }

  /** Keeps a fact the user stated; it is recalled from now on. Saying it again adds nothing. */
  async rememberFact(userId: string, content: string, at: string): Promise<{ key: string; added: boolean }> {
    const { collection } = userNamespaces(userId);
    const known = (await this.#all(collection, { kind: "fact", content }))[0];
    if (known) return { key: known.key, added: false };
    const key = randomUUID();
    const value = { content, kind: "fact", trust: "user", at } satisfies MemoryRecord;
    await this.#batch([{ namespace: collection, key, value, index: FACT_INDEX }]);
    return { key, added: true };
  }

  /** Keeps what a model wants to remember while it handles mail, for the user to approve. Returns its key. */
  async proposeFact(userId: string, content: string, email: Email, at: string): Promise<string> {
    const { pending } = userNamespaces(userId);
    const same = (await this.#all(pending, { content }))[0];
    if (same) return same.key;
    const key = randomUUID();
    const person = senderAddress(email);
    const value = { content, kind: "fact", trust: "mail", person, source: email.id, at } satisfies MemoryRecord;
    await this.#batch([{ namespace: pending, key, value, index: false }]);
    return key;
  }

  /** Changes or withdraws (content null) a proposal that still waits for the user. False: there is no such one. */
  async reviseProposal(userId: string, key: string, content: string | null): Promise<boolean> {
    const { pending } = userNamespaces(userId);
    const [item] = await this.#batch([{ namespace: pending, key }]);
    if (!item) return false;
    const value = content === null ? null : { ...item.value, content };
    await this.#batch([{ namespace: pending, key, value, index: false }]);
    return true;
  }

  /** Records what was decided about an email, and that there was an exchange with its sender, in one batch. */
  async recordDecision(userId: string, email: Email, decision: DecisionRecord): Promise<void> {
    const at = userNamespaces(userId);
    await this.#batch([
      { namespace: at.decisions, key: email.id, value: decision, index: false },
      ...(decision.label === "ignore" ? [] : [conversationPut(at, email, decision)]),
    ]);
  }

  /** The decision about an email, or undefined when the user has no such email. */
  async findDecision(userId: string, emailId: string): Promise<DecisionRecord | undefined> {
    const [item] = await this.#batch([{ namespace: userNamespaces(userId).decisions, key: emailId }]);
    const record = decisionRecordSchema.safeParse(item?.value);
    return record.success ? record.data : undefined;
  }

  /** Makes an email an example with the user's label, or corrects the label it has. */
  async rememberExample(userId: string, email: DecisionRecord["email"], label: Label, at: string): Promise<void> {
    await this.#batch([examplePut(userNamespaces(userId), email, label, at)]);
  }

  /**
   * Adds a rule to a prompt as a new version. Two writers at once lose nothing: who finds the prompt changed
   * reads it again and adds to that. Returns the version, and whether the rule was new.
   */
  async addRule(userId: string, name: LearnablePrompt, rule: Rule): Promise<{ version: number; added: boolean }> {
    const at = userNamespaces(userId);
    for (let attempt = 0; attempt < COMMIT_ATTEMPTS; attempt += 1) {
      const [item] = await this.#batch([{ namespace: at.prompts, key: name }]);
      const prompt = readPrompt(name, item, this.#prompts);
      const same = (other: Rule) => other.text.toLowerCase() === rule.text.toLowerCase();
      if (prompt.rules.some(same)) return { version: prompt.version, added: false };
      const next = { base: prompt.base, rules: [...prompt.rules, rule], version: prompt.version + 1 };
      if (await this.#putIf([promptPut(prompt, at.prompts, next)])) return { version: next.version, added: true };
    }
    throw new MnemailError("store", `${name}: changed ${COMMIT_ATTEMPTS} times while it was updated`, "try again");
  }

  /** Keeps the user's profile. */
  async saveProfile(userId: string, profile: Profile): Promise<void> {
    await this.#batch([{ namespace: userNamespaces(userId).profile, key: PROFILE_KEY, value: profile, index: false }]);
  }

  /** All that is kept about a user; prompts the user never used are shown with their defaults, and not written. */
  async readAll(userId: string): Promise<UserMemory> {
    const at = userNamespaces(userId);
    const prompts = await this.#batch(LEARNABLE_PROMPTS.map((key) => ({ namespace: at.prompts, key })));
    const active = readMemories(await this.#all(at.collection));
    const pending = readMemories(await this.#all(at.pending));
    return {
      procedural: LEARNABLE_PROMPTS.map((name, i) => readPrompt(name, prompts[i] ?? null, this.#prompts)),
      semantic: readExamples(await this.#all(at.examples)),
      episodic: [
        ...active.map((memory) => ({ ...memory, status: "active" as const })),
        ...pending.map((memory) => ({ ...memory, status: "pending" as const })),
      ],
    };
  }

  async #initialise(at: UserNamespaces, prompts: readonly UserPrompt[]): Promise<void> {
    const puts = prompts.flatMap((prompt) => initialise(prompt, at.prompts));
    // Who loses the race against another first reader finds the same defaults written.
    if (puts.length > 0) await this.#putIf(puts);
  }

  #parseProfile(value: unknown): Profile {
    const profile = profileSchema.safeParse(value ?? {});
    return profile.success ? profile.data : profileSchema.parse({});
  }

  async #readOrWarn<T>(read: () => Promise<T>): Promise<T | undefined> {
    try {
      return await read();
    } catch (error) {
      this.#warn(`memory cannot be read, so the default prompts are used: ${renderError(error)}`);
      return undefined;
    }
  }

  async #all(namespacePrefix: string[], filter?: Record<string, unknown>) {
    const found = [];
    for (let offset = 0; ; offset += PAGE) {
      const [page] = await this.#batch([
        { namespacePrefix, limit: PAGE, offset, ...(filter === undefined ? {} : { filter }) },
      ]);
      found.push(...page);
      if (page.length < PAGE) return found;
    }
  }

  async #batch<const Op extends Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    count("store_round_trips");
    return this.#store.batch(operations);
  }

  /** On a store that is not ours the condition cannot be checked: the last writer wins there. */
  async #putIf(puts: ConditionalPut[]): Promise<boolean> {
    count("store_round_trips");
    if (this.#store instanceof MnemailStore) return this.#store.putIf(puts);
    await this.#store.batch(puts.map(({ expected: _, ...put }) => put));
    return true;
  }
}
