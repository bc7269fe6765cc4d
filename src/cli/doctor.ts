import { z } from "zod";
import { type Config, loadConfig } from "../config.ts";
import { MnemailError, renderProblems } from "../errors.ts";
import { selfTest } from "../memory/self-test.ts";
import { loadPrompts } from "../prompts.ts";
import type { RowHealth } from "../store/row-driver.ts";
import { elsewhereOf, WITH_DOCUMENTS } from "../store/vector-space.ts";
import { isVolatile, renderStore } from "../store-config/describe-store.ts";
import { printJson } from "./output.ts";
import { plural } from "./progress.ts";
import { openIndexedStore } from "./stores.ts";

type Problem = RowHealth["problems"][number];

/** What the doctor found; `health` and `configuredModel` are undefined when the store cannot be opened. */
interface Report {
  store: string;
  health?: RowHealth;
  configuredModel?: string | undefined;
  /** Whether a reindex could make vectors. */
  canEmbed?: boolean;
  selfTest: "passed" | "failed" | "not run";
  problems: Problem[];
}

const optionsSchema = z.object({ selfTest: z.boolean().default(false), json: z.boolean().default(false) });

/** `mnemail memory doctor`: says what is in force and what is wrong. Returns the exit code: 1 when anything is. */
export async function doctor(rawOptions: unknown): Promise<number> {
  const options = optionsSchema.parse(rawOptions);
  const config = loadConfig();
  const report = await examine(config);
  if (options.selfTest && report.health) {
    const failed = await problemsOf(() => selfTest((warn) => openIndexedStore(config, { warn }), loadPrompts()));
    report.selfTest = failed.length > 0 ? "failed" : "passed";
    report.problems.push(...failed);
  }
  if (options.json) printJson(asJson(report));
  else console.log(render(report));
  return report.problems.length > 0 ? 1 : 0;
}

async function examine(config: Config): Promise<Report> {
  const report: Report = { store: renderStore(config.store), selfTest: "not run", problems: [] };
  if (isVolatile(config.store)) {
    const hint = "set STORE_URL=sqlite:PATH or postgres://…, or keep a snapshot: memory:?snapshot=FILE";
    report.problems.push({ problem: "memory is lost when the process ends", hint });
  }
  const failed = await problemsOf(async () => {
    // What the store would warn of stands among the problems.
    await using opened = await openIndexedStore(config, { warn: () => {} });
    report.configuredModel = opened.embeddingModel;
    report.canEmbed = opened.embeddingModel !== undefined && opened.store.withoutVectors === undefined;
    report.health = await opened.store.health();
  });
  report.problems.push(...failed, ...(report.health ? healthProblems(report.health, report) : []));
  return report;
}

function healthProblems(health: RowHealth, { configuredModel, canEmbed }: Report): Problem[] {
  const { space, vectors, unembedded, expired, problems } = health;
  const isOther = space && vectors > 0 && configuredModel !== undefined && space.model !== configuredModel;
  const place = space && elsewhereOf(space)?.place;
  const problem = (holds: boolean, text: string, hint: string) => (holds ? [{ problem: text, hint }] : []);
  return [
    ...problems,
    ...problem(
      isOther === true && place !== undefined,
      `the vectors are ${placeText(place)}: searches rank by words`,
      place === WITH_DOCUMENTS
        ? "run `mnemail memory reindex`, or leave VECTOR_URL out"
        : "set VECTOR_URL to it, or run `mnemail memory reindex`",
    ),
    ...problem(
      isOther === true && place === undefined,
      `the vectors are of the embedding model "${space?.model}", and "${configuredModel}" is configured: searches rank by words`,
      "run `mnemail memory reindex`, or set EMBEDDING_MODEL to the one that made them",
    ),
    ...problem(
      unembedded > 0 && canEmbed === true,
      `${plural(unembedded, "field")} without a vector: found by words only`,
      "run `mnemail memory reindex`",
    ),
    ...problem(expired > 0, `${plural(expired, "item")} past the time to keep`, "run `mnemail memory sweep`"),
  ];
}

/** What a piece of work failed with, as problems; none when it did not. */
async function problemsOf(work: () => Promise<void>): Promise<Problem[]> {
  try {
    await work();
    return [];
  } catch (error) {
    if (!(error instanceof MnemailError)) return [{ problem: renderProblems(error).join("; "), hint: "" }];
    return [{ problem: error.message.replace(/\s+/g, " "), hint: error.hint ?? "" }];
  }
}

/** Where vectors are that searches do not rank by. */
function placeText(place: string | undefined): string {
  return place === WITH_DOCUMENTS ? "with the documents, not in the vector database" : `in ${place}`;
}

/** Whose the vectors are. */
function embeddingText(health: RowHealth | undefined): string {
  if (!health?.space) return "none yet";
  const elsewhere = elsewhereOf(health.space);
  const { model, dimensions } = elsewhere ?? health.space;
  return `${model}, ${plural(dimensions, "dimension")}${elsewhere ? `, ${placeText(elsewhere.place)}` : ""}`;
}

function asJson({ store, health, configuredModel, selfTest, problems }: Report) {
  const elsewhere = health?.space && elsewhereOf(health.space);
  const found = health && {
    engine: health.engine,
    schema_version: health.schemaVersion,
    embedding: elsewhere ?? health.space ?? null,
    configured_embedding_model: configuredModel ?? null,
    items: health.items,
    vectors: health.vectors,
    waiting: health.unembedded,
    expired: health.expired,
  };
  return { store, ...found, self_test: selfTest, problems };
}

function render({ store, health, configuredModel, selfTest, problems }: Report): string {
  const found = health
    ? {
        engine: health.engine,
        "schema version": health.schemaVersion,
        "vectors of": `${embeddingText(health)}; configured: ${configuredModel ?? "none"}`,
        items: health.items,
        vectors: `${health.vectors}, ${health.unembedded} waiting`,
        expired: health.expired,
        "self test": selfTest,
      }
    : {};
  return [
    ...Object.entries({ store, ...found }).map(([name, value]) => `${name.padEnd(15)} ${value}`),
    ...problems.map(({ problem, hint }) => `\nPROBLEM         ${problem}${hint ? `\nto do           ${hint}` : ""}`),
    ...(problems.length === 0 ? ["\nAll is well."] : []),
  ].join("\n");
}
