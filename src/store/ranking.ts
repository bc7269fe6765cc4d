import MiniSearch from "minisearch";
import type { JsonObject, ScannedRow } from "./row-driver.ts";

/** A row with its score; rows that could not be scored have none and come last. */
export interface RankedRow {
  row: ScannedRow;
  score: number | undefined;
}

/** Ranks rows by cosine similarity of their nearest field vector to the query's, best first. */
export function rankByVector(rows: readonly ScannedRow[], query: Float32Array): RankedRow[] {
  return rows
    .map((row): RankedRow => {
      const scores = row.vectors.filter((vector) => vector.length === query.length).map((each) => cosine(each, query));
      return { row, score: scores.length > 0 ? Math.max(...scores) : undefined };
    })
    .sort(byScore);
}

/** Ranks rows by BM25+ over all the words of their values (minisearch), best first. */
export function rankByWords(rows: readonly ScannedRow[], query: string): RankedRow[] {
  const index = new MiniSearch<{ id: number; text: string }>({ fields: ["text"] });
  index.addAll(rows.map((row, id) => ({ id, text: wordsOf(row.value) })));
  const scores = new Map(index.search(query).map((hit) => [Number(hit.id), hit.score]));
  return rows.map((row, id): RankedRow => ({ row, score: scores.get(id) })).sort(byScore);
}

function byScore(a: RankedRow, b: RankedRow): number {
  const [of, than] = [a.score ?? Number.NEGATIVE_INFINITY, b.score ?? Number.NEGATIVE_INFINITY];
  return of === than ? 0 : than - of;
}

function cosine(a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let normA = 0;
  let normB = 0;
  for (let i = 0; i < a.length; i += 1) {
    const x = a[i] ?? 0;
    const y = b[i] ?? 0;
    dot += x * y;
    normA += x * x;
    normB += y * y;
  }
  return normA === 0 || normB === 0 ? 0 : dot / Math.sqrt(normA * normB);
}

function wordsOf(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value)) return value.map(wordsOf).join(" ");
  return typeof value === "object" && value !== null ? Object.values(value).map(wordsOf).join(" ") : "";
}

/**
 * The texts at a path of a value, as LangGraph's index configuration writes paths: `$` for the whole value,
 * `a.b`, `a[0]`, `a[-1].b`, `a[*].b`. Objects give their JSON.
 */
export function textsAtPath(value: JsonObject, path: string): string[] {
  if (path === "$") return [JSON.stringify(value)];
  const steps = path.match(/[^.[\]]+|\[(?:\*|-?\d+)\]/g) ?? [];
  const found = steps.reduce<unknown[]>((at, step) => at.flatMap((each) => follow(each, step)), [value]);
  return found.flatMap((each) => {
    if (each === null || each === undefined) return [];
    return [typeof each === "object" ? JSON.stringify(each) : String(each)];
  });
}

function follow(value: unknown, step: string): unknown[] {
  if (typeof value !== "object" || value === null) return [];
  if (!step.startsWith("["))
    return Object.hasOwn(value, step) ? [Object.entries(value).find(([k]) => k === step)?.[1]] : [];
  if (!Array.isArray(value)) return [];
  return step === "[*]" ? value : value.slice(Number(step.slice(1, -1))).slice(0, 1);
}
