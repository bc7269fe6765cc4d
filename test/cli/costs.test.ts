import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { showCosts } from "../../src/cli/costs.ts";
import { Memory } from "../../src/memory/memory.ts";
import { NO_USAGE } from "../../src/meter.ts";
import { loadPrompts } from "../../src/prompts.ts";
import { openStore } from "../../src/store/open-store.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { jsonLines, runCli } from "../support/cli.ts";

const ANA = "ana@home.example";

/** A database with what two days cost, and `mnemail costs` on it. */
async function withCosts(folder: ReturnType<typeof temporaryFolder>) {
  const path = folder.path("memory.db");
  await using store = await openStore({ backend: "sqlite", path });
  const { costs } = new Memory(store, loadPrompts());
  const usage = { ...NO_USAGE, model_calls: 2, input_tokens: 1_500_000, output_tokens: 250_000, embedding_calls: 1 };
  const email = { kind: "email", model: "small", usage, at: "2026-03-02T09:00:00Z", email_id: "q1" } as const;
  await costs.add(ANA, email);
  await costs.add(ANA, { ...email, at: "2026-03-03T23:59:59Z", email_id: "q2", model: "\u001b[31mred" });
  await costs.add(ANA, { ...email, kind: "feedback", at: "2026-03-04T00:00:00Z", email_id: undefined });
  return (...args: string[]) => runCli(["costs", ...args], { STORE_URL: `sqlite:${path}` });
}

test("costs are shown by day, with their total and what an email took", async () => {
  using folder = temporaryFolder();
  const costs = await withCosts(folder);
  const { code, stdout } = await costs("--user", ANA);
  expect(code).toBe(0);
  const lines = stdout.split("\n").map((line) => line.split(/ {2,}/));
  expect(lines.slice(0, 5)).toEqual([
    ["day", "emails", "model calls", "tokens in", "tokens out", "embedding calls", "calls/email", "tokens/email"],
    ["2026-03-02", "1", "2", "1500000", "250000", "1", "2.0", "1750000"],
    ["2026-03-03", "1", "2", "1500000", "250000", "1", "2.0", "1750000"],
    ["2026-03-04", "0", "2", "1500000", "250000", "1", "-", "-"],
    ["total", "2", "6", "4500000", "750000", "3", "2.0", "1750000"],
  ]);
  expect(stdout).toContain("0 where it reports none");

  const priced = await costs("--user", ANA, "--by", "model", "--input-price", "0.40", "--output-price", "1.60");
  expect(priced.stdout).not.toContain("\u001b");
  // 4.5 million at 0.40 and 0.75 million at 1.60; an email 1.5 and 0.25 million.
  expect(priced.stdout).toMatch(/^model .* money {2}money\/email$/m);
  expect(priced.stdout).toMatch(/^total .* 3\.0000 {5}1\.000000$/m);
});

test("programs read them as JSON, from a day to a day", async () => {
  using folder = temporaryFolder();
  const costs = await withCosts(folder);
  const days = ["--since", "2026-03-03", "--until", "2026-03-03"];
  const { stdout } = await costs(
    "--user",
    ANA,
    ...days,
    "--by",
    "kind",
    "--json",
    "--input-price",
    "2",
    "--output-price",
    "0",
  );
  expect(jsonLines(stdout)).toEqual([
    {
      ...{ user: ANA, since: "2026-03-03", until: "2026-03-03", by: "kind" },
      groups: [expect.objectContaining({ name: "email", emails: 1, money: 3 })],
      total: expect.objectContaining({ emails: 1, money: 3, usage: expect.objectContaining({ model_calls: 2 }) }),
    },
  ]);
});

test("who has none is told so; what cannot be meant is refused in one line", async () => {
  using folder = temporaryFolder();
  const costs = await withCosts(folder);
  expect(await costs("--user", "eve")).toMatchObject({
    ...{ code: 0, stdout: "there is nothing yet for eve: no model was used\n" },
  });
  expect((await costs("--user", ANA, "--since", "2026-05-01")).stdout).toMatch(/^there is nothing in that time/);
  const empty = await costs("--user", "eve", "--json");
  expect(jsonLines(empty.stdout)).toMatchObject([{ user: "eve", groups: [], total: { emails: 0, per_email: null } }]);
  const refused = await costs("--user", ANA, "--since", "yesterday");
  expect(refused).toMatchObject({
    ...{ code: 2, stdout: "" },
    stderr: 'mnemail: --since: saw "yesterday"; expected a day such as 2026-03-01\n',
  });
});

test.each([
  [{ until: "2026-02-30" }, /^--until: saw "2026-02-30"; expected a day/],
  [{ since: "2026-03-04", until: "2026-03-03" }, /^--since 2026-03-04: is after --until 2026-03-03/],
  [{ inputPrice: "-1", outputPrice: "1" }, /^--input-price: saw "-1"; expected a number/],
  [{ inputPrice: "1" }, /^--output-price: is missing beside the other price/],
  [{ inputPrice: "1e3", outputPrice: "1" }, /^--input-price: saw "1e3"/],
])("%o is refused before a store is opened", async (options, message) => {
  await expect(showCosts({ user: ANA, ...options })).rejects.toThrow(message);
});

test("the commands of docs/observability.md work", async () => {
  using folder = temporaryFolder();
  const lines = [...readFileSync("docs/observability.md", "utf8").matchAll(/^npm run -s mnemail -- (.+)$/gm)];
  expect(lines.length).toBeGreaterThan(0);
  const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}` };
  for (const [, words = ""] of lines) {
    expect(await runCli(words.split(" "), environment), words).toMatchObject({ code: 0 });
  }
});
