import { z } from "zod";
import { type OpenAssistant, openAssistant } from "../../assistant.ts";
import { type Config, loadConfig } from "../../config.ts";
import { type Email, emailSchema } from "../../email.ts";
import { parseEml } from "../../mail/eml.ts";
import { createManageMemoryTool } from "../../memory-tools.ts";
import type { OpenModels } from "../../models.ts";
import type { MnemailStore } from "../../store/mnemail-store.ts";
import type { KeptRow } from "../../store/row-driver.ts";
import type { AttackMail } from "./attack-case.ts";
import { ANA, AT, EVE } from "./people.ts";

/** The parts of the program that are attacked: ours, or a copy with one gate switched off. */
export interface Program {
  openAssistant: typeof openAssistant;
  emailSchema: typeof emailSchema;
  parseEml: typeof parseEml;
  createManageMemoryTool: typeof createManageMemoryTool;
}

/** The program as it is. */
export const OURS: Program = {
  openAssistant,
  emailSchema,
  parseEml,
  createManageMemoryTool,
};

/** What answers: a server that speaks OpenAI's protocol, or models with the settings by which they are asked. */
export type AskedModel =
  | { url: string }
  | {
      models: Omit<OpenModels, keyof AsyncDisposable>;
      config: Pick<Config, "modelTimeoutMs" | "modelMaxRetries" | "respondMaxModelCalls">;
    };

/** An assistant over a store whose rows can be read and that begins with the rows of an earlier one. */
export interface Session extends AsyncDisposable {
  assistant: OpenAssistant;
  store: MnemailStore;
  warnings: string[];
  /** What was written to the outbox, which is kept nowhere else. */
  written: string[];
  /** Everything in the store, of all users. */
  rows(): Promise<KeptRow[]>;
}

const storeSchema = z.custom<MnemailStore>(
  (value) => typeof value === "object" && value !== null && "pages" in value && "restore" in value,
);

/** Opens the real assistant, on the real client, over a new store in memory with the given rows. Its clock stands still. */
export async function openSession(
  program: Program,
  model: AskedModel,
  rows: readonly KeptRow[],
  environment: Record<string, string> = {},
): Promise<Session> {
  const warnings: string[] = [];
  const written: string[] = [];
  const settings = loadConfig({
    environment: {
      ...{ STORE_URL: "memory:", MODEL_MAX_RETRIES: "0", MEMORY_EXTRACTION: "on" },
      ...("url" in model ? { OPENAI_BASE_URL: model.url } : {}),
      ...environment,
    },
    directory: "/",
  });
  const write = async (what: { key: string }) => {
    written.push(what.key);
    return { status: "written" as const, path: what.key };
  };
  const assistant = await program.openAssistant(
    "url" in model ? settings : { ...settings, ...limitsOf(model.config) },
    {
      outbox: { writeEmail: write, addEvent: write },
      warn: (line) => warnings.push(line),
      now: () => new Date(AT),
      ...("url" in model ? {} : { models: model.models }),
    },
  );
  const store = storeSchema.parse(assistant.graph.store);
  if (rows.length > 0) await store.restore(rows);
  return {
    assistant,
    store,
    warnings,
    written,
    async rows() {
      const all: KeptRow[] = [];
      for await (const page of store.pages([[]])) all.push(...page);
      return all;
    },
    [Symbol.asyncDispose]: () => assistant[Symbol.asyncDispose](),
  };
}

/** These settings alone, where a whole configuration is given. */
function limitsOf({
  modelTimeoutMs,
  modelMaxRetries,
  respondMaxModelCalls,
}: Pick<Config, "modelTimeoutMs" | "modelMaxRetries" | "respondMaxModelCalls">) {
  return { modelTimeoutMs, modelMaxRetries, respondMaxModelCalls };
}

/** Handles an email and all that follows from it in the background. @throws Error when that fails. */
export async function handleWhole({ assistant, warnings }: Session, userId: string, email: Email) {
  const result = await assistant.handle(userId, email);
  if (result.status === "failed") throw new Error(`${email.id} is not done: ${result.error}`);
  const { failed } = await assistant.extracted();
  if (failed > 0) throw new Error(`extraction failed: ${warnings.join("\n")}`);
  return result;
}

/** An email as an attack tells it, from the attacker to the user unless it says otherwise. */
export function mailOf(program: Program, fields: AttackMail): Email {
  return program.emailSchema.parse({ from: `Eve <${EVE}>`, to: `Ana <${ANA}>`, subject: "Printer", ...fields });
}
