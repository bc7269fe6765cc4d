import { judgeLearning, type LearningReport } from "./learning.ts";
import { describeMachine, table } from "./report.ts";

/** A run for programs. */
export function learningToJson(report: LearningReport): string {
  return JSON.stringify({ machine: describeMachine(), ...report, goals: judgeLearning(report) }, null, 2);
}

/** A run for people, in Markdown. */
export function learningToMarkdown(report: LearningReport): string {
  const rows = report.cases.flatMap(({ kind, cold, next }) =>
    [cold, next].map(({ usage, gate }, i) => [
      i === 0 ? kind : "",
      i === 0 ? "cold" : "next",
      `${usage.before.model_calls}`,
      `${usage.before.input_tokens} + ${usage.before.output_tokens}`,
      gate && gate.verdict !== "not measurable" ? `${gate.tested}` : "",
      gate && gate.verdict !== "not measurable" ? `${gate.cached}` : "",
      `${usage.gate.model_calls}`,
      `${usage.gate.input_tokens} + ${usage.gate.output_tokens}`,
      `${usage.before.embedding_calls + usage.gate.embedding_calls}`,
    ]),
  );
  const head = [
    "feedback",
    "",
    "calls",
    "tokens",
    "tested on",
    "known",
    "calls in the test",
    "tokens",
    "embedding calls",
  ];
  const size = report.quick ? " Quick run: fewer emails have a label." : "";
  return [
    `${new Date().toISOString().slice(0, 10)}; ${describeMachine()}; the stand-in model, whose tokens are its own count.`,
    `The sample week, ${report.labelled} emails with the user's label.${size}`,
    "",
    ...table(head, rows),
    "",
    "### Goals of learning",
    "",
    ...table(
      ["goal", "wanted", "found", ""],
      judgeLearning(report).map(({ name, wanted, found, met }) => [name, wanted, found, met ? "met" : "MISSED"]),
    ),
  ].join("\n");
}
