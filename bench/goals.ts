import { NAMES } from "./peers.ts";
import type { Case, StoreReport } from "./store.ts";

/** A goal with what was measured. */
export interface Goal {
  name: string;
  /** What it asks for. */
  wanted: string;
  /** What was found, and by how much that misses. */
  found: string;
  met: boolean;
}

/** The goals of the stores, by the medians of one run alone. */
export function judgeGoals({ cases, batchCosts }: StoreReport): Goal[] {
  const p50 = (operation: Case["operation"], size: number, peer: string) =>
    cases.find((each) => each.operation === operation && each.size === size)?.results.find((each) => each.peer === peer)
      ?.alone.p50 ?? Number.NaN;
  const sizesOf = (operation: Case["operation"]) =>
    cases.filter((each) => each.operation === operation).map(({ size }) => size);
  const users = sizesOf("search in one user");
  const [fewest = 0, most = 0] = [users.at(0), users.at(-1)];
  const inUser = (peer: string, size = most) => p50("search in one user", size, peer);
  const cost = batchCosts.find(({ peer }) => peer === NAMES.postgres);
  const { postgres, upstream, sql, sqlite, memory, scan } = NAMES;
  return [
    atLeast(`PostgreSQL search in one of ${most} users, against upstream`, 20, inUser(upstream) / inUser(postgres)),
    atMost(`PostgreSQL search in one of ${most} users, against SQL by hand`, 1.5, inUser(postgres) / inUser(sql)),
    // Minutes lie between the two; what SQL by hand changed meanwhile tells how much of it is the machine's doing.
    atMost(
      `PostgreSQL search, ${most} users against ${fewest} (SQL by hand: ${format(inUser(sql) / inUser(sql, fewest))}x)`,
      1.3,
      inUser(postgres) / inUser(postgres, fewest),
    ),
    atLeast(
      "PostgreSQL put with vector, against upstream",
      10,
      p50("put", fewest, upstream) / p50("put", fewest, postgres),
    ),
    atLeast("PostgreSQL 200 gets, against upstream", 20, p50("gets", fewest, upstream) / p50("gets", fewest, postgres)),
    counted("PostgreSQL round trips of a batch of 20 puts", 3, cost?.statements),
    counted("embedding calls of a batch of 20 puts", 1, cost?.embeddingCalls),
    ...sizesOf("search in one namespace").flatMap((size) => {
      const inNamespace = (peer: string) => p50("search in one namespace", size, peer);
      return [
        atLeast(`SQLite search among ${size}, against InMemoryStore`, 8, inNamespace(memory) / inNamespace(sqlite)),
        atMost(`SQLite search among ${size}, against the memory scan`, 2.5, inNamespace(sqlite) / inNamespace(scan)),
      ];
    }),
  ];
}

function atLeast(name: string, times: number, ratio: number): Goal {
  const met = ratio >= times;
  const by = met ? "" : `, ${percent(1 - ratio / times)} too little`;
  return { name, wanted: `${times}x faster`, found: `${format(ratio)}x${by}`, met };
}

function atMost(name: string, times: number, ratio: number): Goal {
  const met = ratio <= times;
  const by = met ? "" : `, ${percent(ratio / times - 1)} too much`;
  return { name, wanted: `at most ${times}x`, found: `${format(ratio)}x${by}`, met };
}

function counted(name: string, most: number, count = Number.NaN): Goal {
  const met = count <= most;
  return { name, wanted: `at most ${most}`, found: `${count}${met ? "" : `, ${count - most} too many`}`, met };
}

function format(ratio: number): string {
  return ratio.toFixed(ratio < 10 ? 2 : 1);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}
