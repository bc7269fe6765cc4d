import { MnemailError } from "../../errors.ts";
import type { Feedback } from "../../learning/feedback.ts";
import type { KeptRow } from "../../store/row-driver.ts";
import type { CaseUser, Story, StoryStep } from "../cases.ts";
import {
  type Laboratory,
  memoryOver,
  openTrialAssistant,
  openTrialStore,
  prepare,
  type TrialAssistant,
} from "../laboratory.ts";
import { failTrial, type RunTrial, runTrial } from "../run-trial.ts";
import type { Unit } from "../run-units.ts";
import type { Judge } from "../scorers/judge.ts";
import { checkMemory, viewOfMemory } from "../scorers/memory.ts";
import type { Trial } from "../trial.ts";
import { answerTrial } from "./answers.ts";
import { permuted } from "./permuted.ts";
import { decide } from "./triage.ts";

/** The arms of the learning suite: nothing taught, the story's steps, and two controls that must not help. */
export const LEARNING_ARMS = ["off", "on", "permuted", "other"] as const;

/** One of {@link LEARNING_ARMS}. */
export type LearningArm = (typeof LEARNING_ARMS)[number];

/** What trials of stories work with. */
export interface LearningParts {
  laboratory: Laboratory;
  users: ReadonlyMap<string, CaseUser>;
  /** What a user has before anything is taught. */
  profileOf(userId: string): Promise<KeptRow[]>;
  judge: Judge;
}

/** A unit for each story in each arm: the steps, then each later email on a copy of what they left. */
export function learningUnits(
  stories: readonly Story[],
  { repeat, arms = LEARNING_ARMS }: { repeat: number; arms?: readonly LearningArm[] },
  parts: LearningParts,
): Unit[] {
  return arms.flatMap((arm) =>
    stories.flatMap((story) => {
      const user = parts.users.get(story.user);
      const steps = stepsOf(story, arm, stories);
      if (!user || !steps) return [];
      return Array.from({ length: repeat }, (_, turn) => ({
        key: `learning/${arm}/${story.id}#${turn}`,
        trials: story.later.length,
        run: () => tell(story, { arm, steps, turn, user }, parts),
      }));
    }),
  );
}

/** The steps of a story in an arm; undefined where the arm has none for it. */
function stepsOf(story: Story, arm: LearningArm, stories: readonly Story[]): readonly StoryStep[] | undefined {
  if (arm === "off") return [];
  if (arm === "on") return story.steps;
  if (arm === "permuted") return permuted(story.steps);
  // The steps of a story of another user, half the list away.
  const at = stories.indexOf(story);
  const others = stories.map((_, i) => stories[(at + Math.floor(stories.length / 2) + i) % stories.length]);
  return others.find((other) => other && other.user !== story.user)?.steps;
}

async function tell(
  story: Story,
  { arm, steps, turn, user }: { arm: LearningArm; steps: readonly StoryStep[]; turn: number; user: CaseUser },
  { laboratory, profileOf, judge }: LearningParts,
): Promise<RunTrial[]> {
  const name = (later: Story["later"][number]) => ({
    ...{ suite: "learning" as const, arm, case: `${story.id}/${later.id}`, group: story.group ?? story.id },
    ...{ user: story.user, split: story.split, repeat: turn, kind: later.kind, expected: later.label },
  });
  let taught: Taught;
  try {
    const rows = await profileOf(user.id);
    taught = await prepare(turn, () => teach(story, { steps, arm, user, laboratory, rows }));
  } catch (error) {
    const failed = new Error(`its steps failed: ${error instanceof Error ? error.message : String(error)}`);
    return Promise.all(story.later.map((later) => failTrial(name(later), failed)));
  }
  const { rows, checks } = taught;
  const done: RunTrial[] = [];
  for (const [i, later] of story.later.entries()) {
    const needsDraft = later.tools !== undefined || later.answer.length > 0;
    const run = needsDraft
      ? await answerTrial(name(later), later, { laboratory, user, rows, judge })
      : await labelTrial(name(later), { ...later, user: user.id }, { laboratory, rows });
    // What the steps did to memory is part of the first question.
    done.push(i === 0 && arm === "on" ? withChecks(run, checks) : run);
  }
  return done;
}

async function labelTrial(
  name: Parameters<typeof runTrial>[0],
  later: Pick<Story["later"][number], "email" | "label"> & { user: string },
  { laboratory, rows }: { laboratory: Laboratory; rows: readonly KeptRow[] },
): Promise<RunTrial> {
  const memory = memoryOver(laboratory, await openTrialStore(laboratory, rows));
  return runTrial(name, () => decide(later, memory, laboratory));
}

function withChecks({ trial, shown }: RunTrial, checks: Trial["checks"]): RunTrial {
  return { trial: trial.error === null ? { ...trial, checks: [...trial.checks, ...checks] } : trial, shown };
}

interface Taught {
  rows: KeptRow[];
  checks: Trial["checks"];
}

async function teach(
  story: Story,
  parts: {
    steps: readonly StoryStep[];
    arm: LearningArm;
    user: CaseUser;
    laboratory: Laboratory;
    rows: readonly KeptRow[];
  },
): Promise<Taught> {
  const { steps, arm, user, laboratory } = parts;
  if (steps.length === 0) return { rows: [...parts.rows], checks: [] };
  await using assistant = await openTrialAssistant(laboratory, user, parts.rows);
  const before = viewOfMemory(await assistant.memory.readAll(user.id));
  for (const [i, step] of steps.entries()) {
    try {
      await take(step, { assistant, userId: user.id, id: `${story.id}-${i}` });
    } catch (error) {
      // In a control a step can make no sense: there is no draft to edit where the label is another.
      const isSenseless = error instanceof MnemailError && ["usage", "input", "missing"].includes(error.code);
      if (arm === "on" || !isSenseless) throw error;
    }
  }
  const after = viewOfMemory(await assistant.memory.readAll(user.id));
  return { rows: await assistant.rows(), checks: story.memory ? checkMemory(story.memory, before, after) : [] };
}

async function take(
  step: StoryStep,
  { assistant, userId, id }: { assistant: TrialAssistant; userId: string; id: string },
): Promise<void> {
  if ("email" in step) {
    const { status, error = "it failed" } = await assistant.handle(userId, step.email);
    if (status === "failed") throw new Error(error);
    return;
  }
  if ("remember" in step) {
    const { remember: content, person } = step;
    await assistant.remember(userId, { content, ...(person === undefined ? {} : { scope: `person:${person}` }) });
    return;
  }
  await assistant.learn(userId, { ...feedbackOf(step), id });
}

function feedbackOf(step: Exclude<StoryStep, { email: unknown } | { remember: string }>): Feedback {
  if ("relabel" in step) return { kind: "relabel", email_id: step.relabel, label: step.label };
  if ("edit" in step) return { kind: "edited_draft", email_id: step.edit, after: step.after };
  if ("reject" in step) return { kind: "rejected_draft", email_id: step.reject, text: step.say };
  return { kind: "text", text: step.say, ...(step.about === undefined ? {} : { email_id: step.about }) };
}
