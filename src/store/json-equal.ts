import { isDeepStrictEqual } from "node:util";

/** Whether two values are the same JSON, whatever the order of their keys. */
export function jsonEqual(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(throughJson(a), throughJson(b));
}

/** A value as JSON keeps it: copied, a Date as text, undefined as null. */
export function throughJson(value: unknown): unknown {
  return value === undefined ? null : JSON.parse(JSON.stringify(value));
}
