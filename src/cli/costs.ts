import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { COST_GROUPS, type CostSum, sumCosts } from "../memory/costs.ts";
import type { Usage } from "../meter.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { printJson, shorten } from "./output.ts";
import { openMemory } from "./session.ts";

const DAY_MS = 24 * 60 * 60_000;
const TOKENS_PER_PRICE = 1_000_000;

const optionsSchema = z.object({
  user: z.string(),
  since: z.string().optional(),
  until: z.string().optional(),
  by: z.enum(COST_GROUPS).default("day"),
  inputPrice: z.string().optional(),
  outputPrice: z.string().optional(),
  json: z.boolean().default(false),
});

/** What a million tokens cost. */
interface Prices {
  input: number;
  output: number;
}

/** `mnemail costs`: sums what models were used for. Returns the exit code. */
export async function showCosts(rawOptions: unknown): Promise<number> {
  const { user, by, json, ...given } = optionsSchema.parse(rawOptions);
  encodeUserId(user);
  const prices = pricesOf(given);
  const since = given.since === undefined ? undefined : parseDay("--since", given.since);
  const last = given.until === undefined ? undefined : parseDay("--until", given.until);
  if (since && last && since > last) {
    throw new MnemailError("usage", `--since ${given.since}: is after --until ${given.until}`, "exchange them");
  }
  const until = last && new Date(last.getTime() + DAY_MS);
  await using opened = await openMemory();
  const records = await opened.memory.costs.list(user, { ...(since && { since }), ...(until && { until }) });
  const { groups, total } = sumCosts(records, by);
  const period = { since: given.since ?? null, until: given.until ?? null };
  if (json) {
    const shown = (sum: CostSum) => ({ ...sum, ...(prices && { money: moneyOf(sum.usage, prices) }) });
    printJson({ user, ...period, by, groups: groups.map(shown), total: shown(total) });
    return 0;
  }
  if (records.length === 0) {
    const when = since || last ? " in that time" : " yet";
    console.log(`there is nothing${when} for ${shorten(user)}: no model was used`);
    return 0;
  }
  console.log(renderTable([...groups, total], { by, prices }));
  console.log(
    "\nTokens are what the model server reports, 0 where it reports none; embeddings are counted, not priced.",
  );
  return 0;
}

/** @throws MnemailError("usage") for a price that is none, or one without the other. */
function pricesOf({
  inputPrice,
  outputPrice,
}: Pick<z.infer<typeof optionsSchema>, "inputPrice" | "outputPrice">): Prices | undefined {
  if (inputPrice === undefined && outputPrice === undefined) return undefined;
  const [input, output] = [parsePrice("--input-price", inputPrice), parsePrice("--output-price", outputPrice)];
  return { input, output };
}

function parsePrice(option: string, text: string | undefined): number {
  if (text !== undefined && /^\d{1,9}(?:\.\d{1,9})?$/.test(text)) return Number(text);
  const seen = text === undefined ? "is missing beside the other price" : `saw ${JSON.stringify(text)}`;
  throw new MnemailError("usage", `${option}: ${seen}; expected a number such as 0.40`, "per million tokens");
}

function parseDay(option: string, text: string): Date {
  if (z.iso.date().safeParse(text).success) return new Date(`${text}T00:00:00.000Z`);
  throw new MnemailError("usage", `${option}: saw ${JSON.stringify(text)}; expected a day such as 2026-03-01`);
}

function moneyOf(usage: Usage, { input, output }: Prices): number {
  const money = (usage.input_tokens * input + usage.output_tokens * output) / TOKENS_PER_PRICE;
  return Math.round(money * 1e6) / 1e6;
}

function renderTable(sums: readonly CostSum[], { by, prices }: { by: string; prices: Prices | undefined }): string {
  const header = [
    ...[by, "emails", "model calls", "tokens in", "tokens out", "embedding calls"],
    ...["calls/email", "tokens/email", ...(prices ? ["money", "money/email"] : [])],
  ];
  const rows = sums.map(({ name, emails, usage, per_email: each }) => [
    shorten(name, 40),
    ...[emails, usage.model_calls, usage.input_tokens, usage.output_tokens, usage.embedding_calls].map(String),
    each ? each.model_calls.toFixed(1) : "-",
    each ? String(Math.round(each.input_tokens + each.output_tokens)) : "-",
    ...(prices ? [moneyOf(usage, prices).toFixed(4), each ? moneyOf(each, prices).toFixed(6) : "-"] : []),
  ]);
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i] ?? 0) : cell.padStart(widths[i] ?? 0))).join("  ");
  return [header, ...rows].map((cells) => line(cells).trimEnd()).join("\n");
}
