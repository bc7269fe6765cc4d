import type { OpenAssistant } from "../assistant.ts";
import { type Config, loadConfig } from "../config.ts";
import { Memory } from "../memory/memory.ts";
import { loadPrompts } from "../prompts.ts";
import { openStore } from "../store/open-store.ts";
import { describeStore } from "../store-config.ts";
import { note } from "./output.ts";

/** Opens the assistant of a configuration and says on stderr where memory is kept and which model answers. */
export async function openSession(config: Config, options: { now?: () => Date } = {}): Promise<OpenAssistant> {
  // Imported after the settings proved right, since it loads LangChain.
  const { openAssistant } = await import("../assistant.ts");
  const assistant = await openAssistant(config, { ...options, warn: note });
  note(describeStore(config.store));
  note(`model: ${assistant.modelDescription}`);
  return assistant;
}

/** Opens the memory of the environment alone, for commands that call no model. */
export async function openMemory(): Promise<AsyncDisposable & { memory: Memory }> {
  const config = loadConfig();
  const store = await openStore(config.store, { warn: note, language: config.searchLanguage });
  note(describeStore(config.store));
  return { memory: new Memory(store, loadPrompts(), note), [Symbol.asyncDispose]: () => store.stop() };
}
