import type { BaseStore } from "@langchain/langgraph-checkpoint";
import type { Email } from "../email.ts";
import { renderError } from "../errors.ts";
import { LEARNABLE_PROMPTS, type Prompts } from "../prompts.ts";
import { type UserNamespaces, userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import { StoreAccess } from "./access.ts";
import { type Cost, Costs, costPut } from "./costs.ts";
import { Deliveries } from "./deliveries.ts";
import { conversationPut, type EpisodicMemory, readMemories } from "./episodic.ts";
import { chooseExamples, type ExampleOptions } from "./example-choice.ts";
import { Examples } from "./examples.ts";
import { Extractions, extractionPut } from "./extractions.ts";
import { Facts } from "./facts.ts";
import { foldHead, readLog } from "./history.ts";
import { Ledger } from "./ledger.ts";
import { Pending } from "./pending.ts";
import { initialise, readPrompt, type UserPrompt } from "./procedural.ts";
import { PROFILE_KEY, type Profile, Profiles, readProfile } from "./profile.ts";
import { recalled, recallSearches } from "./recall.ts";
import {
  type DecisionRecord,
  decisionRecordSchema,
  type ProposedEvent,
  type ProposedFact,
  proposedEventsSchema,
} from "./records.ts";
import { type ReplayedEmail, type ReplayOptions, readReplays, replayPut } from "./replays.ts";
import { ReviewLog } from "./review-log.ts";
import { distinguish, type Example, exampleSearches, readExamples } from "./semantic.ts";

/** What is recorded with a decision; `reviews` are the puts of {@link ReviewLog}. */
export interface RecordOptions {
  proposals: readonly ProposedFact[];
  extract: boolean;
  cost?: Cost | undefined;
  reviews?: readonly ConditionalPut[];
}

/** What triage reads: three prompts, the nearest examples and the profile. */
export interface TriageMemory {
  /** The email, under an id of its own where the user has another email of the same id. */
  email: Email;
  /** Whether this email's facts were extracted, or queued for that, when it was handled before. */
  extracted: boolean;
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

/** What a change of the triage prompts is tried on. */
export interface Replays {
  profile: Profile;
  emails: ReplayedEmail[];
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
 * Methods throw MnemailError("store") when the store fails, except the two `readFor…`: they put defaults in the place
 * of what cannot be read, tell `warn`, and write no default.
 */
export class Memory {
  readonly #access: StoreAccess;
  readonly #prompts: Prompts;
  readonly #warn: (line: string) => void;
  readonly #choice: ExampleOptions;
  /** What users said, and the versions of their prompts. */
  readonly ledger: Ledger;
  /** The emails whose label users gave. */
  readonly examples: Examples;
  /** What is known about people and conversations. */
  readonly facts: Facts;
  /** What models want to remember and users have not approved. */
  readonly pending: Pending;
  /** The emails whose facts are still to be extracted. */
  readonly extractions: Extractions;
  /** What waits for users' approval, and what they decided. */
  readonly reviews: ReviewLog;
  /** What users say about themselves. */
  readonly profiles: Profiles;
  /** What models cost. */
  readonly costs: Costs;
  /** Which emails were delivered to a server. */
  readonly deliveries: Deliveries;

  constructor(
    store: BaseStore,
    prompts: Prompts,
    warn: (line: string) => void = () => {},
    choice: ExampleOptions = {},
  ) {
    this.#access = new StoreAccess(store, warn);
    this.#prompts = prompts;
    this.#warn = warn;
    this.#choice = choice;
    this.ledger = new Ledger(this.#access, prompts);
    this.examples = new Examples(this.#access);
    this.reviews = new ReviewLog(this.#access);
    this.facts = new Facts(this.#access);
    this.pending = new Pending(this.#access);
    this.extractions = new Extractions(this.#access);
    this.profiles = new Profiles(this.#access);
    this.costs = new Costs(this.#access);
    this.deliveries = new Deliveries(this.#access);
  }

  /** One round trip for triage; one more, the first time, to write the defaults. */
  async readForTriage(userId: string, email: Email): Promise<TriageMemory> {
    const at = userNamespaces(userId);
    const { results, complete } = await this.#access.readEach([
      { namespace: at.prompts, key: "triage_ignore" },
      { namespace: at.prompts, key: "triage_notify" },
      { namespace: at.prompts, key: "triage_respond" },
      { namespace: at.profile, key: PROFILE_KEY },
      { namespace: at.decisions, key: email.id },
      ...exampleSearches(at, email),
    ]);
    const [ignoreItem, notifyItem, respondItem, profile, decided, ...found] = results;
    const ignore = readPrompt("triage_ignore", ignoreItem, this.#prompts);
    const notify = readPrompt("triage_notify", notifyItem, this.#prompts);
    const respond = readPrompt("triage_respond", respondItem, this.#prompts);
    if (complete) await this.#initialise(at, [ignore, notify, respond]);
    const latest = await this.#latest(at, [ignore, notify, respond]);
    const known = distinguish(email, decided?.value);
    const earlier = known === email ? decisionRecordSchema.safeParse(decided?.value).data : undefined;
    return {
      email: known,
      extracted: earlier?.extracted ?? false,
      prompts: { ignore: latest(ignore), notify: latest(notify), respond: latest(respond) },
      examples: chooseExamples(email, found, this.#choice),
      profile: readProfile(profile?.value),
    };
  }

  /** One round trip for answering; one more, the first time, to write the default. */
  async readForAnswer(userId: string, email: Email): Promise<AnswerMemory> {
    const at = userNamespaces(userId);
    const { results, complete } = await this.#access.readEach([
      { namespace: at.prompts, key: "agent_instructions" },
      { namespace: at.profile, key: PROFILE_KEY },
      ...recallSearches(at, email, this.#access.isConditional),
    ]);
    const [instructionsItem, profile, facts, conversations] = results;
    const instructions = readPrompt("agent_instructions", instructionsItem, this.#prompts);
    if (complete) await this.#initialise(at, [instructions]);
    const latest = await this.#latest(at, [instructions]);
    return {
      instructions: latest(instructions),
      memories: recalled(email, [facts, conversations]),
      profile: readProfile(profile?.value),
    };
  }

  /** The user's profile, and the events that were proposed for other emails than the one named. */
  async readCalendar(userId: string, emailId: string): Promise<{ profile: Profile; proposed: ProposedEvent[] }> {
    const at = userNamespaces(userId);
    const [profile] = await this.#access.batch([{ namespace: at.profile, key: PROFILE_KEY }]);
    const items = await this.#access.all(at.events);
    const others = items.filter(({ key }) => key !== emailId);
    const proposed = others.flatMap(({ value }) => proposedEventsSchema.safeParse(value).data?.events ?? []);
    return { profile: readProfile(profile?.value), proposed };
  }

  /**
   * Records what became of an email, in one batch: the decision, the exchange, what waits for the user, what it cost and,
   * with `extract`, that its facts are still to be extracted. What a model wants to remember takes one more round trip.
   */
  async recordDecision(
    userId: string,
    email: Email,
    decision: DecisionRecord,
    { proposals, extract, cost, reviews = [] }: RecordOptions,
  ): Promise<void> {
    const at = userNamespaces(userId);
    const { events } = decision;
    const proposed = proposals.map(({ content, supersedes }) => ({ content, supersedes, author: "agent" as const }));
    const pending = await this.pending.puts(userId, email, proposed, decision.at);
    const extracted = extract || decision.extracted === true;
    await this.#access.batch([
      { namespace: at.decisions, key: email.id, value: { ...decision, extracted }, index: false },
      { namespace: at.events, key: email.id, value: events.length > 0 ? { events } : null, index: false },
      conversationPut(at, email, decision),
      ...pending,
      ...(extract ? [extractionPut(at, email.id, decision.at)] : []),
      ...(cost ? [costPut(at, cost)] : []),
      ...reviews,
    ]);
  }

  /** Records what the user had done with an email, in words of the program; `events` are those still proposed. */
  async recordAnswer(
    userId: string,
    email: Email,
    decision: Pick<DecisionRecord, "label" | "draft" | "events" | "at">,
    answered: string,
  ): Promise<void> {
    const at = userNamespaces(userId);
    const { events } = decision;
    await this.#access.batch([
      { namespace: at.events, key: email.id, value: events.length > 0 ? { events } : null, index: false },
      conversationPut(at, email, decision, answered),
    ]);
  }

  /** The decision about an email, or undefined when the user has no such email. */
  async findDecision(userId: string, emailId: string): Promise<DecisionRecord | undefined> {
    const [item] = await this.#access.batch([{ namespace: userNamespaces(userId).decisions, key: emailId }]);
    const record = decisionRecordSchema.safeParse(item?.value);
    return record.success ? record.data : undefined;
  }

  /** The emails on which a change of the triage prompts is tried: {@link readReplays}. */
  async readReplays(userId: string, options: ReplayOptions): Promise<Replays> {
    const at = userNamespaces(userId);
    const [profile] = await this.#access.batch([{ namespace: at.profile, key: PROFILE_KEY }]);
    return {
      profile: readProfile(profile?.value),
      emails: await readReplays(this.#access, this.examples, { ...options, userId }),
    };
  }

  /** Keeps what triage answered when a change was tried, so that it need not be asked again. */
  async keepReplays(userId: string, emails: readonly ReplayedEmail[]): Promise<void> {
    const puts = emails.map((each) => replayPut(userNamespaces(userId), each));
    if (puts.length > 0) await this.#access.batch(puts);
  }

  /** Keeps the user's profile. */
  async saveProfile(userId: string, profile: Profile): Promise<void> {
    await this.#access.batch([
      { namespace: userNamespaces(userId).profile, key: PROFILE_KEY, value: profile, index: false },
    ]);
  }

  /** All that is kept about a user; prompts the user never used are shown with their defaults, and not written. */
  async readAll(userId: string): Promise<UserMemory> {
    const at = userNamespaces(userId);
    const { results: prompts } = await this.#access.readEach(
      LEARNABLE_PROMPTS.map((key) => ({ namespace: at.prompts, key })),
    );
    const heads = LEARNABLE_PROMPTS.map((name, i) => readPrompt(name, prompts[i] ?? null, this.#prompts));
    const latest = await this.#latest(at, heads);
    const active = readMemories(await this.#access.all(at.collection));
    const pending = readMemories(await this.#access.all(at.pending));
    return {
      procedural: heads.map(latest),
      semantic: readExamples(await this.#access.all(at.examples)),
      episodic: [
        ...active.map((memory) => ({ ...memory, status: "active" as const })),
        ...pending.map((memory) => ({ ...memory, status: "pending" as const })),
      ],
    };
  }

  /**
   * Prompts as their newest versions have them. Where conditional puts hold, the head record is that, unless another
   * program wrote it; elsewhere it may lack what two writers wrote at once. Then the log is folded, for one more round
   * trip.
   */
  async #latest(at: UserNamespaces, prompts: readonly UserPrompt[]): Promise<(prompt: UserPrompt) => UserPrompt> {
    const { isConditional } = this.#access;
    if (isConditional && !prompts.some(({ isEdited }) => isEdited)) return (prompt) => prompt;
    const log = await this.#access.all(at.versions).catch((error: unknown) => {
      this.#warn(`the versions of prompts cannot be read: ${renderError(error)}`);
      return [];
    });
    const versions = readLog(log);
    return (prompt) => foldHead(prompt, versions, isConditional);
  }

  /** Who loses the race against another first reader finds the same defaults written. */
  async #initialise(at: UserNamespaces, prompts: readonly UserPrompt[]): Promise<void> {
    const puts = prompts.flatMap((prompt) => initialise(prompt, at.prompts));
    if (puts.length === 0) return;
    await this.#access
      .putIf(puts)
      .catch((error: unknown) => this.#warn(`the default prompts cannot be written: ${renderError(error)}`));
  }
}
