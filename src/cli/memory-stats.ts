import { z } from "zod";
import { type ExampleScore, scoreExamples } from "../memory/example-score.ts";
import { LABELS } from "../memory/records.ts";
import { metered } from "../meter.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { openExamples } from "./memory-examples.ts";
import { printJson, shorten } from "./output.ts";
import { plural, showProgress } from "./progress.ts";

const optionsSchema = z.object({ user: z.string(), json: z.boolean().default(false) });

/** `mnemail memory stats`: counts a user's examples and scores them by leave-one-out. Returns the exit code. */
export async function showStats(rawOptions: unknown): Promise<number> {
  const { user, json } = optionsSchema.parse(rawOptions);
  encodeUserId(user);
  await using opened = await openExamples();
  const { counts, score, usage } = await metered(async (used) => {
    const examples = await opened.examples.list(user);
    const queries = examples.map(({ key, record }) => ({ email: record.email, without: new Set([key]) }));
    const neighbours = examples.length < 2 ? [] : await opened.examples.nearest(user, queries, showProgress("scored"));
    const cases = examples.map(({ record }, i) => ({ label: record.label, neighbours: neighbours[i] ?? [] }));
    const counts = LABELS.map((label) => ({ label, examples: cases.filter((each) => each.label === label).length }));
    return { counts, score: scoreExamples(cases), usage: used() };
  });
  const total = counts.reduce((sum, each) => sum + each.examples, 0);
  if (json) {
    const labels = Object.fromEntries(counts.map(({ label, examples }) => [label, examples]));
    printJson({ user, examples: { total, ...labels }, leave_one_out: score ?? null, usage });
    return 0;
  }
  const perLabel = counts.map(({ label, examples }) => `${examples} ${label}`).join(", ");
  console.log(`${plural(total, "example")} of ${shorten(user)}: ${perLabel}`);
  console.log(score ? renderScore(score) : "no score: it takes at least 2 examples (`mnemail memory examples add`)");
  console.log(`${plural(usage.model_calls, "model call")}, ${plural(usage.embedding_calls, "embedding call")}`);
  return 0;
}

function renderScore({ examples, right, accuracy, interval, baseline, labels, without_neighbour }: ExampleScore) {
  const between = `95 % interval ${percent(interval.low)} to ${percent(interval.high)}`;
  return [
    `leave-one-out: ${right} of ${examples} right, ${percent(accuracy)} (${between})`,
    `always "${baseline.label}": ${baseline.right} of ${examples} right, ${percent(baseline.accuracy)}`,
    ...labels.map(({ label, precision, recall }) => {
      return `  ${label.padEnd(7)}  precision ${percent(precision).padStart(5)}  recall ${percent(recall).padStart(5)}`;
    }),
    `${plural(without_neighbour, "example")} like no other, counted as wrong`,
  ].join("\n");
}

function percent(share: number | null): string {
  return share === null ? "none" : `${Math.round(share * 100)} %`;
}
