import type { Email } from "../email.ts";
import type { Flip, GateReport } from "../memory/feedback-record.ts";
import type { Memory, TriageMemory } from "../memory/memory.ts";
import { renderState, type UserPrompt } from "../memory/procedural.ts";
import type { Profile } from "../memory/profile.ts";
import type { KeptEmail, Label } from "../memory/records.ts";
import type { KnownAnswer, ReplayedEmail } from "../memory/replays.ts";
import type { PromptChange } from "../memory/version-puts.ts";
import { applyOperations } from "../memory/versions.ts";
import { affectedBy } from "./scope.ts";

/** Model calls that are under way at once. */
const PARALLEL = 8;

/** What of memory triage shows to the model beside the email. */
export type ShownMemory = Omit<TriageMemory, "email" | "extracted">;

/** How triage decides, so that a change can be tried without the agent. */
export interface Decider {
  /** Names what the model would be shown: equal names, equal questions. */
  request(email: Email, memory: ShownMemory): string;
  /** @throws MnemailError("model") when there is no answer. */
  decide(email: Email, memory: ShownMemory): Promise<Label>;
}

/** The three prompts of triage. */
export type TriagePrompts = TriageMemory["prompts"];

/** What is tried, for whom, and what the feedback is about. */
export interface Trial {
  userId: string;
  prompts: TriagePrompts;
  changes: readonly PromptChange[];
  target?: { email: KeptEmail; label: Label } | undefined;
}

/**
 * Tries a change of the triage prompts on the user's own past decisions: emails whose label the user gave or confirmed,
 * as far as the change can affect them, each without itself among its examples. It passes when the email the feedback
 * is about gets the label the user wants, and when it mends at least as many others as it breaks. Flips of labels that
 * only a model gave are listed and do not count. A counted flip must show twice, since models vary.
 * Champion and challenger, and leave-one-out: Mnemail's DESIGN §4; the idea that an update is tested on past cases
 * before it goes live is that of regression tests.
 *
 * Answers are kept by what the model was shown, unless `dryRun`, so that the next test asks only what is new.
 *
 * @throws MnemailError("model") when an answer cannot be had; MnemailError("store").
 */
export async function tryChange(
  trial: Trial,
  {
    memory,
    decider,
    onProgress,
    dryRun,
  }: {
    memory: Memory;
    decider: Decider;
    onProgress?: ((done: number, total: number) => void) | undefined;
    dryRun?: boolean | undefined;
  },
): Promise<GateReport> {
  const { userId, prompts, changes, target } = trial;
  const challenger = changedPrompts(prompts, changes);
  const before = Object.values(prompts).flatMap(({ rules }) => rules);
  const operations = changes.flatMap((change) => change.operations);
  const query = operations
    .map((each) => ("rule" in each ? each.rule.text : ""))
    .join("\n")
    .trim();
  const replays = await memory.readReplays(userId, { query, affects: affectedBy(operations, before), target });
  const { emails, profile } = replays;
  const tried: Tried[] = [];
  let done = 0;
  try {
    await inParallel(emails, async (replay, i) => {
      tried[i] = await tryOn(replay, [prompts, challenger], { profile, decider });
      done += 1;
      onProgress?.(done, emails.length);
    });
  } finally {
    // What was asked is known from now on, also when the rest could not be asked.
    const asked = emails.flatMap((replay, i) => (tried[i] ? [{ ...replay, answers: tried[i].answers }] : []));
    if (!dryRun) await memory.keepReplays(userId, asked);
  }
  return judge(emails, tried, target?.email.id);
}

/** What triage said about one email: with the live prompts, and with the changed ones. */
interface Tried {
  before: Label;
  after: Label;
  answers: KnownAnswer[];
  asked: number;
  cached: number;
}

function judge(emails: readonly ReplayedEmail[], tried: readonly Tried[], targetId: string | undefined): GateReport {
  const flips = emails.flatMap(({ email, label }, i): Flip[] => {
    const { before, after } = tried[i] ?? {};
    return before && after ? [{ id: email.id, subject: email.subject, wanted: label, before, after }] : [];
  });
  const target = flips.find(({ id }) => id === targetId) ?? null;
  const counted = flips.filter((flip) => flip !== target && flip.wanted !== null);
  const fixed = counted.filter(({ wanted, before, after }) => before !== wanted && after === wanted);
  const broken = counted.filter(({ wanted, before, after }) => before === wanted && after !== wanted);
  const isTargetRight = target === null || target.after === target.wanted;
  return {
    verdict: isTargetRight && broken.length <= fixed.length ? "live" : "proposed",
    tested: counted.length,
    target,
    fixed,
    broken,
    listed: flips.filter(({ wanted, before, after }) => wanted === null && before !== after),
    asked: tried.reduce((sum, { asked }) => sum + asked, 0),
    cached: tried.reduce((sum, { cached }) => sum + cached, 0),
  };
}

/** The prompts of triage after some changes. */
export function changedPrompts(prompts: TriagePrompts, changes: readonly PromptChange[]): TriagePrompts {
  const changed = (prompt: UserPrompt): UserPrompt => {
    const operations = changes.filter((change) => change.prompt === prompt.name).flatMap((change) => change.operations);
    const state = applyOperations(prompt, operations);
    return { ...prompt, ...state, text: renderState(state) };
  };
  return { ignore: changed(prompts.ignore), notify: changed(prompts.notify), respond: changed(prompts.respond) };
}

async function tryOn(
  { email, label, examples, answers }: ReplayedEmail,
  [champion, challenger]: [TriagePrompts, TriagePrompts],
  { profile, decider }: { profile: Profile; decider: Decider },
): Promise<Tried> {
  const known = new Map(answers.map((answer) => [answer.request, answer.label]));
  let [asked, cached] = [0, 0];
  const ask = async (prompts: TriagePrompts, again = false): Promise<Label> => {
    const shown = { prompts, examples, profile };
    const request = decider.request(email, shown);
    const earlier = again ? undefined : known.get(request);
    if (earlier !== undefined) cached += 1;
    else asked += 1;
    const found = earlier ?? (await decider.decide(email, shown));
    // Last in the list are those that were used last.
    known.delete(request);
    known.set(request, found);
    return found;
  };
  const before = await ask(champion);
  const cachedBefore = cached;
  let after = await ask(challenger);
  const isNew = cached === cachedBefore;
  // A flip that was only the model's mood is none.
  if (after !== before && label !== null && isNew) after = await ask(challenger, true);
  return { before, after, answers: [...known].map(([request, each]) => ({ request, label: each })), asked, cached };
}

async function inParallel<T>(items: readonly T[], run: (item: T, index: number) => Promise<void>): Promise<void> {
  const queue = [...items.entries()];
  const work = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) await run(next[1], next[0]);
  };
  const workers = Array.from({ length: Math.min(PARALLEL, items.length) }, () =>
    work().catch((error: unknown) => {
      queue.length = 0;
      throw error;
    }),
  );
  // All have ended before the failure of one is told, so that none goes on behind the caller's back.
  const ended = await Promise.allSettled(workers);
  for (const each of ended) if (each.status === "rejected") throw each.reason;
}
