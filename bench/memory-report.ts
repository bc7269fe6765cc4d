import { judgeMemory, type MemoryReport } from "./memory.ts";
import { FOUND, LATENCY_DIMENSIONS, MEMORIES, TIMED } from "./memory-latency.ts";
import { describeMachine, table } from "./report.ts";

/** A run for programs. */
export function memoryToJson(report: MemoryReport): string {
  return JSON.stringify({ machine: describeMachine(), ...report, goals: judgeMemory(report) }, null, 2);
}

/** A run for people, in Markdown. */
export function memoryToMarkdown(report: MemoryReport): string {
  const { quick, memories, groups, quality, latency, operations, prompts } = report;
  const names = ["whole", "atHand", "words", "vector", "embedding", "floor"] as const;
  const floor = latency.timed.floor.p50;
  return [
    `${new Date().toISOString().slice(0, 10)}; ${describeMachine()}; SQLite; the stand-in model, whose embeddings are hashed words.`,
    ...(quick ? ["Quick run: searches are timed less often."] : []),
    "",
    `### Memories found, among ${memories.toLocaleString("en")}`,
    "",
    ...table(
      ["questions", "", "words in common", "ranking", "recall@5", "recall@10", "recall@20", "MRR"],
      quality
        .toSorted((a, b) => indexOf(groups, a.group) - indexOf(groups, b.group))
        .map(({ ranking, group, quality: { recall5, recall10, recall20, mrr } }, i) => {
          const own = i % 3 === 0 ? groups[indexOf(groups, group)] : undefined;
          return [
            own?.name ?? "",
            own ? `${own.questions}` : "",
            own ? `${Math.round(100 * own.sharedWords)} %` : "",
            ranking,
            ...[recall5, recall10, recall20, mrr].map((share) => share.toFixed(2)),
          ];
        }),
    ),
    "",
    `### Time of a search among ${MEMORIES.toLocaleString("en")} memories`,
    "",
    `${LATENCY_DIMENSIONS.toLocaleString("en")} dimensions, ${FOUND} results; milliseconds; the first search of a process took ${Math.round(latency.first)}.`,
    "",
    ...table(
      ["", "p50", "p95", "runs", "p50 against the floor"],
      names.map((name) => {
        const { p50, p95, runs } = latency.timed[name];
        const isSearch = name !== "embedding" && name !== "floor";
        return [
          TIMED[name],
          milliseconds(p50),
          milliseconds(p95),
          `${runs}`,
          isSearch ? `${(p50 / floor).toFixed(1)}x` : "",
        ];
      }),
    ),
    "",
    "### What an operation costs",
    "",
    ...table(
      ["operation", "model calls", "tokens", "embedding calls", "store round trips", "ms"],
      operations.map(({ name, usage }) => [
        name,
        `${usage.model_calls}`,
        `${usage.input_tokens} + ${usage.output_tokens}`,
        `${usage.embedding_calls}`,
        `${usage.store_round_trips}`,
        `${usage.ms}`,
      ]),
    ),
    "",
    "### The memories in a prompt",
    "",
    ...table(
      ["all may be recalled", "in the prompt", "tokens"],
      prompts.map(({ memories: kept, shown, tokens }) => [kept, `${shown}`, `${tokens}`]),
    ),
    "",
    "### Goals of memory",
    "",
    ...table(
      ["goal", "wanted", "found", ""],
      judgeMemory(report).map(({ name, wanted, found, met }) => [name, wanted, found, met ? "met" : "MISSED"]),
    ),
  ].join("\n");
}

function indexOf(groups: MemoryReport["groups"], name: string): number {
  return groups.findIndex((group) => group.name === name);
}

function milliseconds(value: number): string {
  return value.toFixed(value < 10 ? 2 : 1);
}
