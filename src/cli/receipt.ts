import type { Change, Flip, GateReport, Receipt } from "../memory/feedback-record.ts";
import type { Usage } from "../meter.ts";
import { shorten } from "./output.ts";
import { plural } from "./progress.ts";
import { renderScope } from "./scopes.ts";

/** A receipt for people: what changed, why, what its test found, and what it cost; what would, after a dry run. */
export function renderReceipt(user: string, receipt: Receipt, options: { dryRun?: boolean } = {}): string {
  const { changes, notes, gate, usage } = receipt;
  const held = changes.flatMap((change) => (change.kind === "rule" ? (change.proposal ?? []) : []))[0];
  const accept = `accept it all the same: mnemail memory accept --user ${shorten(user)} ${held}`;
  return [
    ...changes.flatMap((change) => renderChange(change, options)),
    ...(changes.length === 0 ? [options.dryRun ? "nothing would change" : "nothing changed"] : []),
    ...notes.map((each) => `  ${each}`),
    ...(gate ? renderGate(gate).map((line) => `  ${line}`) : []),
    ...(held !== undefined && !options.dryRun ? [`  ${accept}`] : []),
    `  cost: ${renderCost(usage.before)} before the test, ${renderCost(usage.gate)} in it`,
  ].join("\n");
}

/** The lines of one change, and what it rests on. */
export function renderChange(change: Change, { dryRun = false }: { dryRun?: boolean } = {}): string[] {
  const verb = (done: string, plain: string) => (dryRun ? `would ${plain}` : done);
  switch (change.kind) {
    case "fact": {
      const { status, key, text, scope, superseded } = change;
      const verbs = {
        live: verb("remembered", "remember"),
        known: "known already",
        retired: verb("no longer remembered", "no longer remember"),
      };
      return [
        `${verbs[status]} (${key}): ${shorten(text, 400)}`,
        ...(scope === "all" ? [] : [`  recalled for ${renderScope(scope)}`]),
        ...superseded.map(({ content }) => `  instead of: ${shorten(content, 400)}`),
      ];
    }
    case "example": {
      const was = change.was === change.label ? "confirmed" : `was ${change.was}`;
      return [`${verb("example", "keep the example")} ${shorten(change.key, 1_100)}: ${change.label} (${was})`];
    }
    case "rule": {
      const { status, action, prompt, version, proposal, text, was, evidence } = change;
      const verbs = {
        live: action === "retire" ? verb("retired", "retire") : verb("learnt", "learn"),
        known: "known already",
        proposed: verb(`proposed as ${proposal}`, "propose"),
      };
      const where = version === null ? `(${prompt})` : `(${prompt}, version ${version})`;
      const what = action === "retire" ? (was ?? "a rule that is gone") : (text ?? "");
      const prefix = status === "proposed" && action === "retire" ? "retire: " : "";
      return [
        `${verbs[status]} ${where}: ${prefix}${shorten(what, 400)}`,
        ...(action === "replace" && was ? [`  instead of: ${shorten(was, 400)}`] : []),
        ...(evidence ? [`  because of: ${shorten(evidence, 400)}`] : []),
      ];
    }
  }
}

/** The lines of what the test of a change found. */
export function renderGate(gate: GateReport): string[] {
  const { verdict, tested, target, fixed, broken, listed, asked, cached } = gate;
  if (verdict === "not measurable") return ["not tested: how answers are written has no label to measure it by"];
  const isRight = !target || target.after === target.wanted;
  const answers = `triage was asked ${plural(asked, "time")}, ${plural(cached, "answer")} known before`;
  const found = `tested on ${plural(tested, "email")} you labelled: ${fixed.length} mended, ${broken.length} broken`;
  const why = isRight ? "it breaks more than it mends" : "this email would not get your label";
  return [
    tested === 0 && !target
      ? `not tested: you labelled no email that it can affect (${answers})`
      : `${found} (${answers})`,
    ...(verdict === "proposed" ? [`held, since ${why}`] : []),
    ...(target ? [`this email: ${renderFlip(target)}${isRight ? "" : ` (you said ${target.wanted})`}`] : []),
    ...fixed.map((flip) => `mends ${renderEmail(flip)}: ${renderFlip(flip)}`),
    ...broken.map((flip) => `breaks ${renderEmail(flip)}: ${renderFlip(flip)} (you said ${flip.wanted})`),
    ...listed.map(
      (flip) => `also changes ${renderEmail(flip)}: ${renderFlip(flip)} (not counted: you gave it no label)`,
    ),
  ];
}

function renderEmail({ id, subject }: Flip): string {
  return `"${shorten(subject, 60)}" [${shorten(id, 1_100)}]`;
}

function renderFlip({ before, after }: Flip): string {
  return before === after ? `stays ${after}` : `${before} -> ${after}`;
}

function renderCost({ model_calls, input_tokens, output_tokens }: Usage): string {
  return `${plural(model_calls, "model call")} (${input_tokens} + ${output_tokens} tokens)`;
}
