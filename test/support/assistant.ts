import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type OpenAssistant, openAssistant } from "../../src/assistant.ts";
import { loadConfig } from "../../src/config.ts";
import { type Email, emailSchema } from "../../src/email.ts";
import { type StandIn, type StandInOptions, startStandIn } from "../../src/stand-in/server.ts";

/** An assistant on the real path: the OpenAI client, over HTTP, to a stand-in whose requests can be read. */
export interface TestAssistant extends OpenAssistant {
  model: StandIn;
  warnings: string[];
}

/**
 * Opens an assistant for a test. `environment` is what a user would set; the store is in memory by default; `now`
 * stops its clock.
 */
export async function openTestAssistant(
  environment: Record<string, string> = {},
  standIn: StandInOptions = {},
  now?: string,
  options: { checkpointer?: boolean } = {},
): Promise<TestAssistant> {
  const model = await startStandIn(standIn);
  const warnings: string[] = [];
  const config = loadConfig({
    environment: {
      ...{ STORE_URL: "memory:", OPENAI_BASE_URL: model.url, MODEL_MAX_RETRIES: "0" },
      // Tests say themselves when the background is at work.
      ...{ MEMORY_EXTRACTION: "off" },
      ...environment,
    },
    directory: tmpdir(),
  });
  const assistant = await openAssistant(config, {
    // Reviews have tests of their own; elsewhere a run ends with what would wait in its state.
    ...(options.checkpointer ? {} : { checkpointer: false }),
    warn: (line) => warnings.push(line),
    ...(now === undefined ? {} : { now: () => new Date(now) }),
  });
  return {
    ...assistant,
    model,
    warnings,
    async [Symbol.asyncDispose]() {
      await assistant[Symbol.asyncDispose]();
      await model.close();
    },
  };
}

/** A folder that is removed when it is disposed. */
export function temporaryFolder(): Disposable & { path: (name: string) => string } {
  const folder = mkdtempSync(join(tmpdir(), "mnemail-"));
  return {
    path: (name) => join(folder, name),
    [Symbol.dispose]: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** An email as its test tells it; what a test does not care about is filled in. */
export function email(fields: { from?: string; subject?: string; body: string; id?: string; date?: string }): Email {
  return emailSchema.parse({
    from: "Tom Berg <tom@work.example>",
    to: "ana@home.example",
    subject: "Hello",
    ...fields,
  });
}
