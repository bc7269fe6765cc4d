import { type OpenAssistant, openAssistant } from "../assistant.ts";
import { type Config, loadConfig } from "../config.ts";
import { note } from "./output.ts";

/** Opens the assistant of the environment and says on stderr where memory is kept and which model answers. */
export async function openSession(overrides: Partial<Config> = {}): Promise<OpenAssistant> {
  const assistant = await openAssistant({ ...loadConfig(), ...overrides }, { warn: note });
  note(assistant.storeDescription);
  note(`model: ${assistant.modelDescription}`);
  return assistant;
}
