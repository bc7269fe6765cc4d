import { openAssistant } from "../assistant.ts";
import { loadConfig } from "../config.ts";
import { describeStore } from "../store-config.ts";

const log = (line: string) => console.error(`mnemail: ${line}`);

/**
 * The graph that `langgraph.json` names, with the same store as the scripts. The server awaits the promise; it
 * brings its own checkpointer. A stand-in that was started ends with the server's process.
 */
export const graph = (async () => {
  const config = loadConfig();
  const assistant = await openAssistant(config, { warn: log });
  log(describeStore(config.store));
  log(`model: ${assistant.modelDescription}`);
  // What an earlier process was stopped over.
  if (config.memoryExtraction) {
    for (const user of await assistant.memory.extractions.users()) assistant.extractInBackground(user);
  }
  return assistant.graph;
})();
