import { type Child, startChild } from "./child.ts";
import type { StoreKind } from "./peers.ts";

/** Second processes, one for each store that a second process can open; each writes only while it is told to. */
export interface Writers {
  kinds: readonly StoreKind[];
  /** Runs `run` while the writer of this kind puts into the namespace without a pause. */
  beside<T>(kind: StoreKind, namespace: readonly string[], run: () => Promise<T>): Promise<T>;
  end(): Promise<void>;
}

/** Starts a writer for each place; the stores' tables are there. */
export async function startWriters(places: Readonly<Record<StoreKind, string>>): Promise<Writers> {
  const children: Record<StoreKind, Child> = {
    sqlite: startChild("writer.ts", ["sqlite", places.sqlite]),
    postgres: startChild("writer.ts", ["postgres", places.postgres]),
    upstream: startChild("writer.ts", ["upstream", places.upstream]),
  };
  const all = Object.values(children);
  for (const child of all) await expectLine(child, "ready");
  return {
    kinds: ["sqlite", "postgres", "upstream"],
    async beside(kind, namespace, run) {
      children[kind].send(JSON.stringify(namespace));
      await expectLine(children[kind], "started");
      const result = await run();
      children[kind].send("stop");
      await expectLine(children[kind], "stopped");
      return result;
    },
    end: async () => void (await Promise.all(all.map((child) => child.end()))),
  };
}

async function expectLine(child: Child, expected: string): Promise<void> {
  const line = await child.next();
  if (line !== expected) throw new Error(`a writer said ${JSON.stringify(line)} instead of ${expected}`);
}
