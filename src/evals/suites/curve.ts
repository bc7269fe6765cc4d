import { triage } from "../../agent/triage.ts";
import type { KeptRow } from "../../store/row-driver.ts";
import type { CaseUser, TriageCase } from "../cases.ts";
import { type Laboratory, openTrialAssistant, type TrialAssistant } from "../laboratory.ts";
import { type Found, type RunTrial, runTrial } from "../run-trial.ts";
import type { Unit } from "../run-units.ts";
import { createRandom, shuffle } from "../statistics/random.ts";
import { checkLabel, nameCase } from "./triage.ts";

/**
 * A unit for each user, order and arm: the user's emails come one after the other, and, where learning is on, a simulated
 * user corrects each wrong label by the truth before the next. Each label is judged before it is corrected (prequential
 * evaluation: Dawid, "Statistical theory: the prequential approach", JRSS A 147, 1984).
 */
export function curveUnits(
  cases: readonly TriageCase[],
  { orders, seed }: { orders: number; seed: number },
  parts: {
    laboratory: Laboratory;
    users: ReadonlyMap<string, CaseUser>;
    profileOf: (id: string) => Promise<KeptRow[]>;
  },
): Unit[] {
  return [...parts.users.values()].flatMap((user) => {
    const own = cases.filter((each) => each.user === user.id);
    if (own.length === 0) return [];
    return Array.from({ length: orders }, (_, order) => {
      const stream = shuffle(own, createRandom(seed + order));
      return (["off", "on"] as const).map((arm) => ({
        key: `curve/${arm}/${user.id}#${order}`,
        trials: stream.length,
        run: () => runStream(stream, { arm, order, user }, parts),
      }));
    }).flat();
  });
}

async function runStream(
  stream: readonly TriageCase[],
  { arm, order, user }: { arm: "off" | "on"; order: number; user: CaseUser },
  { laboratory, profileOf }: { laboratory: Laboratory; profileOf: (id: string) => Promise<KeptRow[]> },
): Promise<RunTrial[]> {
  await using assistant = await openTrialAssistant(laboratory, user, await profileOf(user.id));
  const done: RunTrial[] = [];
  for (const [position, one] of stream.entries()) {
    const name = { suite: "curve" as const, arm, ...nameCase(one), repeat: order, position };
    const learns = arm === "on";
    // An order is no repeat of a request: what was answered in one holds in the others.
    const run = await runTrial(name, () => decideAndLearn(one, { assistant, laboratory, user, learns }), 0);
    // The prompts of wrong emails are in the triage suite; here they would be most of the report.
    done.push({ trial: { ...run.trial, request: null }, shown: undefined });
  }
  return done;
}

async function decideAndLearn(
  { email, label }: TriageCase,
  parts: { assistant: TrialAssistant; laboratory: Laboratory; user: CaseUser; learns: boolean },
): Promise<Found> {
  const { assistant, laboratory, user, learns } = parts;
  const { memory } = assistant;
  const { models, prompts } = laboratory;
  const found = await triage(email, user.id, { memory, models, prompts });
  if (learns && found.label !== label) {
    const at = user.now;
    const { reason, memories, request } = found;
    const decision = { email: found.email, label: found.label, reason, memories, prompts: found.prompts, request, at };
    const nothing = { draft: null, events: [], model: models.chat.model, trust: "mail" as const };
    await memory.recordDecision(user.id, found.email, { ...decision, ...nothing }, { proposals: [], extract: false });
    await assistant.learn(user.id, { kind: "relabel", email_id: found.email.id, label, id: `correct ${email.id}` });
  }
  return { got: found.label, checks: [checkLabel(label, found.label)] };
}
