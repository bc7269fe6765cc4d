import type { SearchOperation } from "@langchain/langgraph-checkpoint";
import { jsonEqual, throughJson } from "./json-equal.ts";
import type { JsonObject } from "./row-driver.ts";

type Comparison = (item: unknown, wanted: unknown) => boolean;

const OPERATORS: ReadonlyMap<string, Comparison> = new Map<string, Comparison>([
  ["$eq", jsonEqual],
  ["$ne", (item, wanted) => !jsonEqual(item, wanted)],
  ["$gt", (item, wanted) => order(item, wanted) > 0],
  ["$gte", (item, wanted) => order(item, wanted) >= 0],
  ["$lt", (item, wanted) => order(item, wanted) < 0],
  ["$lte", (item, wanted) => order(item, wanted) <= 0],
  ["$in", (item, wanted) => Array.isArray(wanted) && wanted.some((each) => jsonEqual(item, each))],
  ["$nin", (item, wanted) => Array.isArray(wanted) && !wanted.some((each) => jsonEqual(item, each))],
]);

/**
 * Whether a value passes a LangGraph search filter: each top-level name equal, or compared by `$eq $ne $gt $gte $lt
 * $lte $in $nin`. Values compare as JSON: a Date is its ISO text, which orders as time does, and a missing field is
 * null. Numbers are ordered among numbers and texts among texts (by code units); other pairs have no order.
 */
export function matchesFilter(value: JsonObject, filter: SearchOperation["filter"]): boolean {
  return Object.entries(filter ?? {}).every(([name, wanted]) => {
    const item = Object.hasOwn(value, name) ? value[name] : undefined;
    const operators = operatorsOf(wanted);
    return operators === undefined
      ? jsonEqual(item, wanted)
      : operators.every(([operator, operand]) => OPERATORS.get(operator)?.(item, operand));
  });
}

/** @throws TypeError for an operator that is unknown or has no sensible operand, which would match nothing in silence. */
export function validateFilter(filter: SearchOperation["filter"]): void {
  for (const [operator, operand] of Object.values(filter ?? {}).flatMap((wanted) => operatorsOf(wanted) ?? [])) {
    if (!OPERATORS.has(operator)) {
      throw new TypeError(`filter: unknown operator ${operator}; allowed: ${[...OPERATORS.keys()].join(" ")}`);
    }
    if (["$in", "$nin"].includes(operator) && !Array.isArray(operand)) {
      throw new TypeError(`filter: ${operator} expected a list`);
    }
  }
}

/** The part of a filter that says which names equal which values, as JSON; a missing field equals null. */
export function equalities(filter: SearchOperation["filter"]): JsonObject {
  const plain = Object.entries(filter ?? {}).flatMap(([name, wanted]): [string, unknown][] => {
    const operators = operatorsOf(wanted);
    if (operators === undefined) return [[name, throughJson(wanted)]];
    const [operator, operand] = operators[0] ?? [];
    return operators.length === 1 && operator === "$eq" ? [[name, throughJson(operand)]] : [];
  });
  return Object.fromEntries(plain);
}

/** Whether a plain value (text, number, truth value or null) can pass. */
export type ItemTest = (value: unknown) => boolean;

/**
 * The part of a filter that can be told quickly of many items: names that equal a plain value or are among plain values.
 * What these refuse, the filter refuses.
 */
export function prefilter(filter: SearchOperation["filter"]): [name: string, test: ItemTest][] {
  return Object.entries(filter ?? {}).flatMap(([name, wanted]): [string, ItemTest][] =>
    (operatorsOf(wanted) ?? [["$eq", wanted]]).flatMap(([operator, operand]): [string, ItemTest][] => {
      const among = operator === "$in" && Array.isArray(operand) ? operand : operator === "$eq" ? [operand] : [{}];
      if (!among.every(isPlain)) return [];
      const values = new Set<unknown>(among.map((each) => throughJson(each) ?? null));
      return [[name, (value) => values.has(value)]];
    }),
  );
}

function isPlain(value: unknown): boolean {
  return value === null || value === undefined || ["string", "number", "boolean"].includes(typeof value);
}

function operatorsOf(wanted: unknown): [string, unknown][] | undefined {
  if (typeof wanted !== "object" || wanted === null || Array.isArray(wanted)) return undefined;
  const entries = Object.entries(wanted);
  return entries.length > 0 && entries.every(([name]) => name.startsWith("$")) ? entries : undefined;
}

function order(item: unknown, wanted: unknown): number {
  const [a, b] = [item, throughJson(wanted)];
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  return Number.NaN;
}
