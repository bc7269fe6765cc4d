import type { OpenAssistant } from "../assistant.ts";
import { type Config, loadConfig } from "../config.ts";
import { openLog } from "../log.ts";
import { Memory } from "../memory/memory.ts";
import { loadPrompts } from "../prompts.ts";
import { describeStore } from "../store-config/describe-store.ts";
import { flushTraces, startTracing } from "../tracing.ts";
import { note } from "./output.ts";
import { openPlainStore } from "./stores.ts";

/**
 * Opens the assistant of a configuration, without threads where a command needs none, and says on stderr where memory is
 * kept, which model answers and, where runs are traced, where to. Disposing it waits a moment for the traces to be taken.
 */
export async function openSession(
  config: Config,
  options: { now?: () => Date; checkpointer?: false } = {},
): Promise<OpenAssistant> {
  await startTracing(config, note);
  // Imported after the settings proved right, since it loads LangChain.
  const { openAssistant } = await import("../assistant.ts");
  const assistant = await openAssistant(config, { ...options, warn: note, log: openLog(config, "error") });
  note(describeStore(config.store));
  note(`model: ${assistant.modelDescription}`);
  if (!config.tracing) return assistant;
  return {
    ...assistant,
    async [Symbol.asyncDispose]() {
      await assistant[Symbol.asyncDispose]();
      await flushTraces(config, note);
    },
  };
}

/** Opens the memory of the environment alone, for commands that call no model. */
export async function openMemory(): Promise<AsyncDisposable & { memory: Memory }> {
  const config = loadConfig();
  const store = await openPlainStore(config);
  return { memory: new Memory(store, loadPrompts(), note), [Symbol.asyncDispose]: () => store.stop() };
}
