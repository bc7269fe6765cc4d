import { loadConfig } from "../config.ts";
import { cleanText, oneLine } from "../email.ts";
import { describeStore } from "../store-config/describe-store.ts";
import { startTracing } from "../tracing.ts";
import { openServer } from "./open.ts";
import { openTokens } from "./tokens.ts";

const log = (line: string) => console.error(`mnemail: ${oneLine(cleanText(line))}`);

const config = loadConfig();

/** Who may use the LangGraph server of this process. */
export const tokens = openTokens(config, log);

/**
 * The assistant of this process, opened once for all that `langgraph.json` names; the server brings its own checkpointer.
 * It is never closed: a stand-in that was started ends with the process.
 */
export const server = (async () => {
  await startTracing(config, log);
  const opened = await openServer(config, { tokens, warn: log, keepThreads: false });
  log(describeStore(config.store));
  log(`model: ${opened.assistant.modelDescription}`);
  // What an earlier process was stopped over.
  if (config.memoryExtraction) {
    const { memory, extractInBackground } = opened.assistant;
    for (const user of await memory.extractions.users()) extractInBackground(user);
  }
  return opened;
})();
