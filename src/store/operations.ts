import {
  type GetOperation,
  InvalidNamespaceError,
  type ListNamespacesOperation,
  type Operation,
  type PutOperation,
  type SearchOperation,
} from "@langchain/langgraph-checkpoint";
import type { JsonObject } from "./row-driver.ts";

/** A put that, where `expected` is given, holds only while the stored value equals it (null: while there is none). */
export interface ConditionalPut extends PutOperation {
  expected?: JsonObject | null;
}

/** Databases cut text at a NUL, or store lone surrogates as one and the same character. */
const UNSTORABLE = /[\0\p{Cs}]/u;

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

/** @throws TypeError for a value that could not be read back; nothing was written yet. */
export function validateValue(value: JsonObject | null): void {
  if (value === null) return;
  if (typeof value !== "object" || Array.isArray(value)) throw new TypeError("value: expected an object or null");
  // Throws for a BigInt and for a value that contains itself.
  JSON.stringify(value);
}

/** @throws InvalidNamespaceError, TypeError for a search that cannot be meant. */
export function validateSearch(op: SearchOperation): void {
  validatePrefix(op.namespacePrefix);
  for (const [name, given] of Object.entries({ limit: op.limit ?? 10, offset: op.offset ?? 0 })) {
    if (!Number.isInteger(given) || given < 0) {
      throw new TypeError(`${name}: saw ${given}; expected a whole number from 0`);
    }
  }
}

/** The part of a filter that a driver can apply by itself: plain names that equal plain text. */
export function equalities(filter: SearchOperation["filter"]): Record<string, string> {
  const plain = Object.entries(filter ?? {}).filter(
    ([name, wanted]) => typeof wanted === "string" && /^\w+$/.test(name),
  );
  return Object.fromEntries(plain.map(([name, wanted]) => [name, String(wanted)]));
}

function validatePrefix(namespace: string[]): void {
  for (const label of namespace) {
    if (typeof label !== "string" || label === "" || label.includes(".") || UNSTORABLE.test(label)) {
      throw new InvalidNamespaceError(
        `namespace label: saw ${JSON.stringify(label)}; expected well-formed text that is not empty and has no "." or NUL`,
      );
    }
  }
}

/** Whether an operation puts or deletes. */
export function isPut(op: Operation | ConditionalPut): op is PutOperation | ConditionalPut {
  return "value" in op;
}

/** Whether an operation searches. */
export function isSearch(op: Operation | ConditionalPut): op is SearchOperation {
  return "namespacePrefix" in op;
}

/** Whether an operation gets. */
export function isGet(op: Operation | ConditionalPut): op is GetOperation {
  return "key" in op && !("value" in op);
}

/** Whether an operation lists namespaces. */
export function isListNamespaces(op: Operation | ConditionalPut): op is ListNamespacesOperation {
  return !isPut(op) && !isSearch(op) && !isGet(op);
}
