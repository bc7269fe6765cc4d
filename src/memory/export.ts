import { createHash } from "node:crypto";
import type { MnemailStore } from "../store/mnemail-store.ts";
import { type UserRoots, userRoots } from "../store/namespaces.ts";
import { isBelow } from "../store/row-driver.ts";
import { EXPORT_VERSION, type ItemPlace, itemLine, sealLine } from "./export-lines.ts";
import { movable } from "./transfer.ts";

/** How an export goes on: `onProgress` is told how many items were written so far, `warn` of each left out. */
export interface ExportOptions {
  onProgress?: (items: number) => void;
  warn?: (line: string) => void;
}

/**
 * The lines of an export of one user, or of all: a header, one line for each item by namespace and key (UTF-8 byte
 * order), a footer. Canonical JSON with checksums and nothing of the moment or the place, so that equal memories give
 * equal bytes whatever the store. All as of one moment; expired items are left out.
 */
export async function* exportLines(
  store: MnemailStore,
  userId: string | undefined,
  { onProgress = () => {}, warn = () => {} }: ExportOptions = {},
): AsyncGenerator<string> {
  const roots = userId === undefined ? undefined : userRoots(userId);
  const all = createHash("sha256");
  const hashed = (line: string) => {
    all.update(line);
    return line;
  };
  yield hashed(sealLine({ mnemail_export: EXPORT_VERSION, ...(userId === undefined ? {} : { user: userId }) }));
  let items = 0;
  for await (const page of store.pages(roots ? [roots.prompts, roots.memory] : [[]], warn)) {
    const rows = movable(page, warn);
    for (const row of rows) yield hashed(itemLine(row, roots ? placeBelow(roots, row.namespace) : row));
    items += rows.length;
    onProgress(items);
  }
  yield sealLine({ items, sha256_of_all: all.digest("hex") });
}

function placeBelow({ prompts, memory }: UserRoots, namespace: string[]): ItemPlace {
  return isBelow(namespace, prompts)
    ? { root: "prompts", namespace: namespace.slice(prompts.length) }
    : { root: "memory", namespace: namespace.slice(memory.length) };
}
