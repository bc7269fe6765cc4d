import { createHash } from "node:crypto";
import { z } from "zod";
import { throughJson } from "../json-equal.ts";
import { type Address, isBelow, type JsonObject } from "../row-driver.ts";
import { spaceText, type VectorSpace } from "../vector-space.ts";

/** Beside every vector of ours, as `made_by`: a collection may hold others, which are left alone. */
const MADE_BY = "mnemail";
/** Chooses all vectors of ours. */
export const OURS: Where = { name: "made_by", values: [MADE_BY] };

/** What a vector is of, as a vector database keeps it beside the vector: flat texts, and no text of the value. */
export type About = Record<string, string>;

/** A vector with the id (a UUID) that it is kept under. */
export interface IndexedVector {
  id: string;
  vector: Float32Array;
  about: About;
}

/** A vector that a search found, and how like the query it is: cosine similarity, from -1 to 1. */
export interface VectorHit {
  /** As the database answered it: to be read by {@link parseAbout}. */
  about: unknown;
  score: number;
}

/** The vectors of which what is kept under `name` is one of `values`, which are letters and digits. */
export interface Where {
  name: string;
  values: readonly string[];
}

/**
 * What a vector database has to do for a hybrid store (`hybrid-driver.ts`). It need not be atomic, nor up to date:
 * what it answers is checked against the documents.
 */
export interface VectorIndex {
  /** The database and the collection for people, without credentials; the documents remember it. */
  readonly name: string;
  /** The most that one search can find. */
  readonly reach: number;
  /** The length of the vectors that can be kept; undefined while any can. */
  dimensions(): Promise<number | undefined>;
  /** Keeps vectors of one length, in the place of those of the same ids. */
  add(vectors: readonly IndexedVector[]): Promise<void>;
  remove(ids: readonly string[]): Promise<void>;
  /** The nearest, best first; fewer than `limit` only when there are no more. */
  search(near: Float32Array, limit: number, where: Where): Promise<VectorHit[]>;
  /** The ids of the vectors that are chosen; `dimensions` is how long vectors are, where that is known. */
  find(where: Where, dimensions: number | undefined): Promise<string[]>;
  /** The ids of all vectors of Mnemail's; absent or undefined where they cannot be listed, or not without `dimensions`. */
  list?(dimensions: number | undefined): Promise<string[] | undefined>;
  close(): Promise<void>;
}

const aboutSchema = z.object({
  vector_id: z.string(),
  version: z.string(),
  space: z.string(),
  namespace: z.string().min(1),
  key: z.string(),
});

/** What a found vector says it is of: a row, which version of it, and by which model. */
export interface ParsedAbout extends Address {
  id: string;
  version: string;
  space: string;
}

/** Reads what is kept beside a vector; undefined where it is not one of ours. */
export function parseAbout(about: unknown): ParsedAbout | undefined {
  const parsed = aboutSchema.safeParse(about);
  if (!parsed.success) return undefined;
  const { vector_id: id, version, space, namespace, key } = parsed.data;
  return { id, version, space, namespace: namespace.split("."), key };
}

/**
 * Names one state of a row: another value has another name. So a vector counts only while the document is what it was
 * made of, whatever a crash left behind.
 */
export function versionOf({ namespace, key }: Address, value: JsonObject): string {
  return hash([namespace, key, ordered(throughJson(value))]);
}

/** Names a space beside the vectors of it: those of another model are never compared. */
export function spaceName(space: VectorSpace): string {
  return hash(spaceText(space));
}

/** The id of the vector of one field of a version: a UUID, which all of the databases take. */
export function vectorId(version: string, space: VectorSpace, field: string): string {
  // Of the kind whose digits are the maker's own (RFC 9562, version 8).
  const digits = hash([version, spaceName(space), field]);
  return digits.replace(/^(.{8})(.{4}).(.{3}).(.{3})(.{12})$/, "$1-$2-8$3-8$4-$5");
}

/** A vector with what is kept beside it. */
export function indexedVector(
  { namespace, key }: Address,
  version: string,
  { field, vector, space }: { field: string; vector: Float32Array; space: VectorSpace },
): IndexedVector {
  const id = vectorId(version, space, field);
  const prefixes = namespace.map((_, i) => {
    const { name, values } = whereBelow(namespace.slice(0, i + 1));
    return [name, values[0] ?? ""] as const;
  });
  const of = { version, space: spaceName(space), namespace: namespace.join("."), key, field };
  // Not `id`, which Weaviate keeps for itself.
  return { id, vector, about: { vector_id: id, made_by: MADE_BY, ...of, ...Object.fromEntries(prefixes) } };
}

/**
 * Chooses the vectors at or below a prefix of at least one label. Every vector has the hash of each prefix of its
 * namespace, so that one equality chooses by whole labels in any database, however it cuts or folds texts.
 */
export function whereBelow(prefix: readonly string[]): Where {
  return { name: `prefix_${prefix.length}`, values: [hash(prefix)] };
}

/** Whether what was found lies at or below a prefix: no database is taken at its word. */
export function isFoundBelow(about: ParsedAbout | undefined, prefix: readonly string[]): about is ParsedAbout {
  return about !== undefined && isBelow(about.namespace, prefix);
}

function hash(of: unknown): string {
  return createHash("sha256").update(JSON.stringify(of)).digest("hex").slice(0, 32);
}

/** With the names of objects in order: databases give them back in theirs. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return { object: entries.map(([name, each]) => [name, ordered(each)]) };
}
