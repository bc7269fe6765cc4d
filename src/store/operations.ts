import {
  type GetOperation,
  InvalidNamespaceError,
  type ListNamespacesOperation,
  type Operation,
  type PutOperation,
  type SearchOperation,
} from "@langchain/langgraph-checkpoint";
import { validateFilter } from "./filter.ts";
import type { JsonObject, Ranking } from "./row-driver.ts";

/** A put that, where `expected` is given, holds only while the stored value equals it (null: while there is none). */
export interface ConditionalPut extends PutOperation {
  expected?: JsonObject | null;
  /** Its texts are not embedded now: they wait for a reindex, and words find the item meanwhile. */
  embedLater?: boolean;
  /** Whole minutes after which reads no longer see the item; LangGraph.js has no such argument, Python's stores do. */
  ttlMinutes?: number;
}

/** A search that says how a `query` ranks: by vector unless told otherwise. Other stores ignore it. */
export interface RankedSearch extends SearchOperation {
  ranking?: Ranking;
}

/** What our stores run: LangGraph's operations and what we add to them. */
export type StoreOperation = Operation | ConditionalPut | RankedSearch;

/** Databases cut text at a NUL, or store lone surrogates as one and the same character. */
const UNSTORABLE = /[\0\p{Cs}]/u;
/** The same in JSON text, where both stand as escapes; a backslash before them is not one of these. */
const UNSTORABLE_IN_JSON = /(?<!\\)(?:\\\\)*\\u(?:0000|d[89a-f][0-9a-f]{2})/;

/** @throws InvalidNamespaceError, TypeError for an address that cannot be stored. */
export function validateAddress(namespace: string[], key: string): void {
  if (namespace.length === 0) throw new InvalidNamespaceError("namespace: saw none; expected at least one label");
  if (namespace[0] === "langgraph") {
    throw new InvalidNamespaceError('namespace: the root label "langgraph" is reserved');
  }
  validatePrefix(namespace);
  if (typeof key !== "string" || key === "" || UNSTORABLE.test(key)) {
    throw new TypeError("key: expected well-formed text that is not empty and has no NUL");
  }
}

/** @throws TypeError for a value that could not be read back as it is; nothing was written yet. */
export function validatePut({ value, ttlMinutes }: ConditionalPut): void {
  if (ttlMinutes !== undefined && !(Number.isInteger(ttlMinutes) && ttlMinutes > 0 && ttlMinutes < 2 ** 31)) {
    throw new TypeError(`ttlMinutes: saw ${ttlMinutes}; expected whole minutes from 1`);
  }
  if (value === null) return;
  if (typeof value !== "object" || Array.isArray(value)) throw new TypeError("value: expected an object or null");
  // Throws for a BigInt and for a value that contains itself.
  if (UNSTORABLE_IN_JSON.test(JSON.stringify(value))) {
    throw new TypeError(
      "value: saw text with a NUL or half a surrogate pair, which PostgreSQL cannot store; remove it",
    );
  }
}

/** @throws InvalidNamespaceError, TypeError for a search that cannot be meant. */
export function validateSearch(op: SearchOperation): void {
  validatePrefix(op.namespacePrefix);
  validatePage(op);
  validateFilter(op.filter);
}

/** @throws TypeError for a page that cannot be meant. */
export function validatePage(op: { limit?: number; offset?: number }): void {
  for (const [name, given] of Object.entries({ limit: op.limit ?? 10, offset: op.offset ?? 0 })) {
    if (!Number.isInteger(given) || given < 0) {
      throw new TypeError(`${name}: saw ${given}; expected a whole number from 0`);
    }
  }
}

/** @throws InvalidNamespaceError for labels that no item can have. */
export function validatePrefix(namespace: readonly string[]): void {
  for (const label of namespace) {
    if (typeof label !== "string" || label === "" || label.includes(".") || UNSTORABLE.test(label)) {
      throw new InvalidNamespaceError(
        `namespace label: saw ${JSON.stringify(label)}; expected well-formed text that is not empty and has no "." or NUL`,
      );
    }
  }
}

/** Whether an operation puts or deletes. */
export function isPut(op: StoreOperation): op is PutOperation | ConditionalPut {
  return "value" in op;
}

/** Whether an operation searches. */
export function isSearch(op: StoreOperation): op is RankedSearch {
  return "namespacePrefix" in op;
}

/** Whether an operation gets. */
export function isGet(op: StoreOperation): op is GetOperation {
  return "key" in op && !("value" in op);
}

/** Whether an operation lists namespaces. */
export function isListNamespaces(op: StoreOperation): op is ListNamespacesOperation {
  return !isPut(op) && !isSearch(op) && !isGet(op);
}

/** The namespaces that a list operation asks for, sorted, of all that there are. */
export function selectNamespaces(all: readonly string[][], op: ListNamespacesOperation): string[][] {
  const matching = all.filter((namespace) =>
    (op.matchConditions ?? []).every(({ matchType, path }) => {
      const part =
        matchType === "prefix"
          ? namespace.slice(0, path.length)
          : namespace.slice(Math.max(0, namespace.length - path.length));
      return part.length === path.length && part.every((label, i) => path[i] === "*" || path[i] === label);
    }),
  );
  const cut = matching.map((namespace) => namespace.slice(0, op.maxDepth ?? namespace.length));
  const distinct = [...new Map(cut.map((namespace) => [namespace.join("."), namespace])).entries()];
  distinct.sort(([a], [b]) => (a < b ? -1 : 1));
  const offset = op.offset ?? 0;
  return distinct.slice(offset, offset + (op.limit ?? 100)).map(([, namespace]) => namespace);
}
