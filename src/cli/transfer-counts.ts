import type { TransferCounts } from "../memory/transfer.ts";
import { note } from "./output.ts";
import { plural } from "./progress.ts";

/** What became of the items of an import or a copy, in one line. */
export function renderCounts(counts: TransferCounts, dryRun = false): string {
  const total = Object.values(counts).reduce((sum, n) => sum + n, 0);
  const parts = [
    `${counts.added} added`,
    `${counts.replaced} replaced`,
    `${counts.unchanged} unchanged`,
    `${counts.kept} kept as here`,
    ...(counts.expired > 0 ? [`${counts.expired} expired and left out`] : []),
  ];
  return `${plural(total, "item")}: ${parts.join(", ")}${dryRun ? " (dry run: nothing was written)" : ""}`;
}

/** Says that what was written cannot be searched by meaning yet, where there was no embedding model. */
export function noteWaitingFields({ added, replaced }: TransferCounts, embeddingModel: string | undefined): void {
  if (embeddingModel !== undefined || added + replaced === 0) return;
  note("there is no embedding model, so these items are found by words; set one, then run `mnemail memory reindex`");
}
