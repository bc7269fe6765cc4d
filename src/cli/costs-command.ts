import { type Command, Option } from "commander";

interface SharedOptions {
  user: () => Option;
  json: () => Option;
}

/** Adds `mnemail costs`; `user` and `json` make the options that other commands have too. */
export function addCostsCommand(program: Command, { user, json }: SharedOptions): void {
  program
    .command("costs")
    .description("what models were used for and how much: calls, tokens, and money where prices are given")
    .addOption(user())
    .option("--since <date>", "from this day on (UTC), such as 2026-03-01; costs are kept for 400 days")
    .option("--until <date>", "up to this day (UTC), the day included")
    // The choices stand here again, since the module that has them loads LangChain.
    .addOption(new Option("--by <group>", "sum by").choices(["day", "month", "kind", "model"]).default("day"))
    .option("--input-price <number>", "what a million input tokens cost, in any currency")
    .option("--output-price <number>", "what a million output tokens cost")
    .addOption(json())
    .addHelpText(
      "after",
      `
Tokens are counted as the model server reports them: 0 where it reports none. Embeddings have no price here.

Examples:
  mnemail costs --user alice@example.com --by kind
  mnemail costs --user alice@example.com --since 2026-03-01 --input-price 0.40 --output-price 1.60`,
    )
    .action(async (options: unknown) => {
      // Imported when it runs, so that `--help` loads no LangChain module.
      const { showCosts } = await import("./costs.ts");
      process.exitCode = await showCosts(options);
    });
}
