import { jsonEqual } from "./json-equal.ts";
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
 * Whether a value passes a LangGraph search filter: each key equal, or compared by `$eq $ne $gt $gte $lt $lte
 * $in $nin`. Numbers compare with numbers and strings with strings; other pairs are never ordered.
 *
 * @throws TypeError for an unknown operator, which would otherwise match nothing in silence.
 */
export function matchesFilter(value: JsonObject, filter: JsonObject | undefined): boolean {
  return Object.entries(filter ?? {}).every(([key, wanted]) => {
    const item = Object.hasOwn(value, key) ? value[key] : undefined;
    const operators = operatorsOf(wanted);
    return operators === undefined
      ? jsonEqual(item, wanted)
      : operators.every(([name, operand]) => comparison(name)(item, operand));
  });
}

function operatorsOf(wanted: unknown): [string, unknown][] | undefined {
  if (typeof wanted !== "object" || wanted === null || Array.isArray(wanted)) return undefined;
  const entries = Object.entries(wanted);
  return entries.length > 0 && entries.every(([name]) => name.startsWith("$")) ? entries : undefined;
}

function comparison(name: string): Comparison {
  const found = OPERATORS.get(name);
  if (!found) throw new TypeError(`filter: unknown operator ${name}; allowed: ${[...OPERATORS.keys()].join(" ")}`);
  return found;
}

function order(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  if (typeof a === "string" && typeof b === "string") return a < b ? -1 : a > b ? 1 : 0;
  return Number.NaN;
}
