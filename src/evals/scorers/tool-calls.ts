import type { ExpectedTools } from "../cases.ts";
import type { Check } from "../trial.ts";
import { fulfils, inWords } from "./arguments.ts";
import { assign } from "./assignment.ts";
import { shown } from "./folded.ts";

/** One call of a tool, as a model made it. */
export interface ToolCall {
  name: string;
  args: Record<string, unknown>;
}

type Expected = ExpectedTools["calls"][number];

/**
 * Compares the calls that were made with those expected. For each expected call: that it was made, and if so, each of its
 * arguments ({@link fulfils}; arguments that nothing is said of may be anything). Several calls of one name are assigned so
 * that most arguments are right, and with `in_order` so that the order is right where that costs no argument. Then the
 * order, with `in_order`. Then each call beyond those expected, unless `may` has its name.
 */
export function checkToolCalls(expected: ExpectedTools, called: readonly ToolCall[]): Check[] {
  const places = placesOf(expected, called);
  const made = names(called);
  const checks = expected.calls.flatMap((call, i): Check[] => {
    const place = places[i] ?? null;
    const found = place === null ? undefined : called[place];
    const name = `calls ${call.name}`;
    if (!found) return [check(name, false, made === "" ? "nothing is called" : `what is called: ${made}`)];
    const args = Object.entries(call.args).map(([field, wanted]) =>
      check(
        `${call.name}: ${field} ${inWords(wanted)}`,
        fulfils(wanted, found.args[field]),
        found.args[field] === undefined ? "it is not given" : `it is ${shown(found.args[field])}`,
      ),
    );
    return [check(name, true), ...args];
  });
  return [...checks, ...checkOrder(expected, places, made), ...checkOthers(expected, called, places)];
}

function check(name: string, met: boolean, note?: string): Check {
  return { kind: "tools", name, met, ...(met || note === undefined ? {} : { note }) };
}

function names(calls: readonly { name: string }[]): string {
  return shown(calls.map(({ name }) => name).join(", "));
}

function checkOrder({ calls, in_order }: ExpectedTools, places: readonly (number | null)[], made: string): Check[] {
  const found = places.flatMap((place) => place ?? []);
  if (!in_order || found.length < 2) return [];
  const isSorted = found.every((place, i) => i === 0 || place > (found[i - 1] ?? -1));
  return [check(`calls in the order ${names(calls)}`, isSorted, `the order is ${made}`)];
}

function checkOthers(
  { calls, may }: ExpectedTools,
  called: readonly ToolCall[],
  places: readonly (number | null)[],
): Check[] {
  const others = called.filter(({ name }, i) => !places.includes(i) && !may.includes(name));
  const name = calls.length + may.length === 0 ? "calls no tool" : "calls no other tool";
  if (others.length === 0) return [check(name, true)];
  return others.map((call) => check(name, false, `${shown(call.name)} is called with ${shown(call.args)}`));
}

/** For each expected call, which of those made is it; null for none. */
function placesOf({ calls, in_order }: ExpectedTools, called: readonly ToolCall[]): (number | null)[] {
  const places = calls.map((): number | null => null);
  for (const name of new Set(calls.map((each) => each.name))) {
    const wanted = [...calls.entries()].filter(([, call]) => call.name === name);
    const made = [...called.entries()].filter(([, call]) => call.name === name);
    // Among equals, those that come in the same order: their differences, squared, have the smallest sum.
    const weight = 1 + Math.max(wanted.length, made.length) ** 3;
    const costs = wanted.map(([, call], i) => made.map(([, other], j) => wrong(call, other) * weight + (i - j) ** 2));
    for (const [i, j] of assign(costs).entries()) {
      const [at, place] = [wanted[i]?.[0], j === null ? undefined : made[j]?.[0]];
      if (at !== undefined && place !== undefined) places[at] = place;
    }
  }
  const ordered = in_order ? inOrder(calls, called) : undefined;
  return ordered && wrongs(calls, called, ordered) === wrongs(calls, called, places) ? ordered : places;
}

function wrong({ args }: Expected, found: ToolCall): number {
  return Object.entries(args).filter(([field, wanted]) => !fulfils(wanted, found.args[field])).length;
}

function wrongs(calls: readonly Expected[], called: readonly ToolCall[], places: readonly (number | null)[]): number {
  return calls.reduce((sum, call, i) => {
    const found = called[places[i] ?? -1];
    return sum + (found ? wrong(call, found) : Number.POSITIVE_INFINITY);
  }, 0);
}

/** Places that are all in order, with the fewest wrong arguments; undefined where there are none. */
function inOrder(calls: readonly Expected[], called: readonly ToolCall[]): number[] | undefined {
  // The best way to place the calls so far, where the last of them is at the index or before it.
  let best: ({ cost: number; places: number[] } | undefined)[] = [undefined, ...called].map(() => ({
    cost: 0,
    places: [],
  }));
  for (const call of calls) {
    const next: typeof best = [undefined];
    for (const [j, found] of called.entries()) {
      const [before, so] = [best[j], next[j]];
      const isCandidate = before !== undefined && found.name === call.name;
      const cost = isCandidate ? before.cost + wrong(call, found) : Number.POSITIVE_INFINITY;
      next.push(before && cost < (so?.cost ?? Number.POSITIVE_INFINITY) ? { cost, places: [...before.places, j] } : so);
    }
    best = next;
  }
  return best.at(-1)?.places;
}
