import type { Item } from "@langchain/langgraph-checkpoint";
import type { UserNamespaces } from "../store/namespaces.ts";
import { isBelow } from "../store/row-driver.ts";
import { type MemoryRecord, memoryRecordSchema } from "./memory-record.ts";
import { promptRecordSchema, type Rule } from "./records.ts";
import { type Operation, proposalRecordSchema, versionRecordSchema } from "./versions.ts";

/** Where the memories of a user are, live and not. */
export const MEMORY_PLACES = ["collection", "pending", "superseded"] as const;

/** Everything of one user by where it is; `others` is what other programs keep beside it. */
export type UserItems = Record<keyof UserNamespaces | "others", Item[]>;

/** Sorts the items at and below a user's roots by where they are. */
export function sortItems(at: UserNamespaces, items: readonly Item[]): UserItems {
  const sorted: UserItems = {
    ...{ prompts: [], examples: [], collection: [], pending: [], decisions: [], events: [], profile: [] },
    ...{ feedback: [], receipts: [], versions: [], proposals: [], replays: [], superseded: [], extractions: [] },
    ...{ tombstones: [], costs: [], reviews: [], leases: [], deliveries: [], temporary: [], others: [] },
  };
  const places = new Map(Object.entries(at).map(([name, namespace]) => [JSON.stringify(namespace), name]));
  const isPlace = (name: string | undefined): name is keyof UserNamespaces => name !== undefined && name in at;
  for (const item of items) {
    const name = isBelow(item.namespace, at.temporary) ? "temporary" : places.get(JSON.stringify(item.namespace));
    sorted[isPlace(name) ? name : "others"].push(item);
  }
  return sorted;
}

/** The memories of a user, live and not, as far as they can be read. */
export function memoriesOf(user: UserItems): { key: string; record: MemoryRecord }[] {
  return MEMORY_PLACES.flatMap((place) => user[place]).flatMap(({ key, value }) => {
    const record = memoryRecordSchema.safeParse(value).data;
    return record ? [{ key, record }] : [];
  });
}

/** A rule wherever it stands, and the feedback that its version or proposal came of. */
export interface FoundRule {
  rule: Rule;
  cause: string | null;
}

/** Every rule of a user: in heads, versions and proposals. */
export function rulesOf(user: UserItems): FoundRule[] {
  const inOperations = (operations: readonly Operation[], cause: string | null): FoundRule[] =>
    operations.flatMap((each) => {
      if (each.op === "retire") return [];
      if (each.op === "restore") return each.rules.map((rule) => ({ rule, cause: null }));
      return [{ rule: each.rule, cause }];
    });
  return [
    ...user.versions.flatMap(({ value }) => {
      const record = versionRecordSchema.safeParse(value).data;
      return record ? inOperations(record.operations, record.feedback) : [];
    }),
    ...user.proposals.flatMap(({ value }) => {
      const record = proposalRecordSchema.safeParse(value).data;
      return record?.changes.flatMap(({ operations }) => inOperations(operations, record.feedback)) ?? [];
    }),
    ...user.prompts.flatMap(({ value }) => {
      const rules = promptRecordSchema.safeParse(value).data?.rules ?? [];
      return rules.map((rule) => ({ rule, cause: null }));
    }),
  ];
}
