import { addressList, isPlainAddress } from "../../email.ts";
import type { ArgumentCheck } from "../cases.ts";
import { fold, inQuotes, missing, shown } from "./folded.ts";

/**
 * Whether an argument is as it should be. `equals`, `one_of` and plain values compare as {@link isSame}; `contains` and
 * `matches` (letters' case does not count) read texts, and lists as their texts with commas; `at_least` and `at_most` take
 * numbers only. An argument that was not given fulfils nothing.
 */
export function fulfils(check: ArgumentCheck, found: unknown): boolean {
  if (found === undefined) return false;
  if (typeof check !== "object" || Array.isArray(check)) return isSame(check, found);
  if ("contains" in check) return missing(check.contains, textOf(found)).length === 0;
  if ("matches" in check) return new RegExp(check.matches, "iu").test(textOf(found));
  if ("one_of" in check) return check.one_of.some((each) => isSame(each, found));
  if ("equals" in check) return isSame(check.equals, found);
  const { at_least = Number.NEGATIVE_INFINITY, at_most = Number.POSITIVE_INFINITY } = check;
  return typeof found === "number" && found >= at_least && found <= at_most;
}

/** A check in words, to follow the argument's name: `contains "a" and "b"`. */
export function inWords(check: ArgumentCheck): string {
  if (typeof check !== "object" || Array.isArray(check)) return `is ${JSON.stringify(check)}`;
  if ("contains" in check) return `contains ${inQuotes(check.contains)}`;
  if ("matches" in check) return `matches /${check.matches}/`;
  if ("one_of" in check) return `is one of ${shown(check.one_of)}`;
  if ("equals" in check) return `is ${JSON.stringify(check.equals)}`;
  const bounds = [
    ...(check.at_least === undefined ? [] : [`at least ${check.at_least}`]),
    ...(check.at_most === undefined ? [] : [`at most ${check.at_most}`]),
  ];
  return bounds.length === 0 ? "is a number" : `is ${bounds.join(" and ")}`;
}

/**
 * Whether two JSON values say the same: numbers and truth values must be equal, texts but for letters' case, quotes and runs
 * of space; a mailbox (`Ada <ada@home.example>`) is its address; lists have the same items in their order, lists of
 * mailboxes in any; objects have the same fields.
 */
export function isSame(one: unknown, other: unknown): boolean {
  if (typeof one === "string" && typeof other === "string") return comparable(one) === comparable(other);
  if (Array.isArray(one) && Array.isArray(other)) {
    const [a, b] = [one, other].map(inAnyOrder);
    return one.length === other.length && (a ?? []).every((each, i) => isSame(each, b?.[i]));
  }
  if (!isObject(one) || !isObject(other)) return Object.is(one, other);
  const names = Object.keys({ ...one, ...other });
  return names.every((name) => isSame(one[name], other[name]));
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function inAnyOrder(list: readonly unknown[]): readonly unknown[] {
  const addresses = list.flatMap((each) => (typeof each === "string" ? (addressOf(each) ?? []) : []));
  return addresses.length === list.length ? addresses.sort() : list;
}

function comparable(text: string): string {
  return addressOf(text) ?? fold(text);
}

/** The address, where a text is a mailbox and nothing else. */
function addressOf(text: string): string | undefined {
  const trimmed = text.trim();
  const isMailbox = /^[^<>@]*<[^<>@\s]+@[^<>@\s]+>$/.test(trimmed) || isPlainAddress(trimmed);
  return isMailbox ? addressList(trimmed)[0] : undefined;
}

function textOf(value: unknown): string {
  if (Array.isArray(value)) return value.map(textOf).join(", ");
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}
