import { createHash } from "node:crypto";
import { renderError } from "../errors.ts";
import { metered } from "../meter.ts";
import { type ShownMessage, type Traffic, withTraffic } from "./answer-cache.ts";
import { isRight, type Trial } from "./trial.ts";

/** What names a trial. */
export type TrialName = Pick<Trial, "suite" | "arm" | "case" | "group" | "user" | "split" | "repeat"> &
  Partial<Pick<Trial, "position" | "kind">> &
  Pick<Trial, "expected">;

/** Where what is wrong is shown with its prompt: the arms in which the program is as users have it. */
const EXPLAINED = new Set(["triage/all", "answers/all", "learning/on", "attacks/obedient", "attacks/model"]);

/** What a trial found. */
export interface Found {
  got: Trial["got"];
  checks: Trial["checks"];
  draft?: string | null;
}

/** A trial with what the model was shown, where that is to be looked at. */
export interface RunTrial {
  trial: Trial;
  shown: ShownMessage[] | undefined;
}

/**
 * Runs one trial: counts what it uses and, in the main arm of a suite, keeps what the model was shown where it is not
 * right: for triage where the label is wrong, else the last that was asked. What it throws is its error: then it is
 * neither right nor wrong. Equal requests of one turn are asked once.
 */
export function runTrial(
  name: TrialName,
  run: (traffic: Traffic) => Promise<Found>,
  turn = name.repeat,
): Promise<RunTrial> {
  return withTraffic(turn, (traffic) =>
    metered(async (usage) => {
      const { got, checks, draft, error } = await run(traffic).then(
        // A score that a failing server moved is no score.
        ({ draft, ...found }) =>
          traffic.failures.length > 0
            ? { got: null, checks: [], draft: null, error: renderError(traffic.failures[0]) }
            : { ...found, draft, error: null },
        (thrown: unknown) => ({ got: null, checks: [], draft: null, error: renderError(thrown) }),
      );
      const isWrong = error === null && isRight({ checks, error }) !== true;
      const shown =
        isWrong && EXPLAINED.has(`${name.suite}/${name.arm}`) ? shownOf(traffic, got === name.expected) : undefined;
      const trial: Trial = {
        ...name,
        got,
        checks,
        error,
        usage: usage(),
        known: traffic.known,
        request: shown ? nameRequest(shown) : null,
        draft: isWrong ? (draft ?? null) : null,
      };
      return { trial, shown };
    }),
  );
}

/** A trial that cannot be run. */
export function failTrial(name: TrialName, reason: unknown): Promise<RunTrial> {
  return runTrial(name, () => Promise.reject(reason));
}

function shownOf({ requests }: Traffic, isLabelRight: boolean): ShownMessage[] | undefined {
  const triage = requests.findLast(({ kind }) => kind === "triage");
  return (isLabelRight ? requests.at(-1) : (triage ?? requests.at(-1)))?.messages;
}

/** Names what a model was shown by its content. */
function nameRequest(messages: readonly ShownMessage[]): string {
  return createHash("sha256").update(JSON.stringify(messages)).digest("hex").slice(0, 16);
}
