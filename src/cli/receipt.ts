import type { Change, Flip, GateReport, Receipt } from "../memory/feedback-record.ts";
import type { Usage } from "../meter.ts";
import { shorten } from "./output.ts";
import { plural } from "./progress.ts";

/** A receipt for people: what changed, why, what its test found, and what it cost. */
export function renderReceipt(user: string, { changes, notes, gate, usage }: Receipt): string {
  const isProposed = changes.some((change) => change.kind === "rule" && change.status === "proposed");
  const numbers = changes.flatMap((change) => (change.kind === "rule" ? (change.proposal ?? []) : []));
  return [
    ...changes.flatMap(renderChange),
    ...(changes.length === 0 ? ["nothing changed"] : []),
    ...notes.map((each) => `  ${each}`),
    ...(gate ? renderGate(gate).map((line) => `  ${line}`) : []),
    ...(isProposed ? [`  accept it all the same: mnemail memory accept --user ${shorten(user)} ${numbers[0]}`] : []),
    `  cost: ${renderCost(usage.before)} before the test, ${renderCost(usage.gate)} in it`,
  ].join("\n");
}

/** The lines of one change, and what it rests on. */
export function renderChange(change: Change): string[] {
  switch (change.kind) {
    case "fact":
      return [
        `${change.status === "live" ? "remembered" : "known already"} (${change.key}): ${shorten(change.text, 400)}`,
      ];
    case "example": {
      const was = change.was === change.label ? "confirmed" : `was ${change.was}`;
      return [`example ${shorten(change.key, 1_100)}: ${change.label} (${was})`];
    }
    case "rule": {
      const { status, action, prompt, version, proposal, text, was, evidence } = change;
      const where = version === null ? `(${prompt})` : `(${prompt}, version ${version})`;
      const verb = {
        live: action === "retire" ? "retired" : "learnt",
        known: "known already",
        proposed: `proposed as ${proposal}`,
      };
      const what = action === "retire" ? (was ?? "a rule") : (text ?? "");
      const prefix = status === "proposed" && action === "retire" ? "retire: " : "";
      return [
        `${verb[status]} ${where}: ${prefix}${shorten(what, 400)}`,
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
  const isRight = target && target.after === target.wanted;
  return [
    `tested on ${plural(tested, "email")} you labelled: ${fixed.length} mended, ${broken.length} broken (${plural(asked, "question")} asked, ${cached} known)`,
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
