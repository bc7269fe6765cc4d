import { openAssistant } from "../assistant.ts";
import { loadConfig } from "../config.ts";

/**
 * The graph that `langgraph.json` names, with the same store as the scripts. The server awaits the promise; it
 * brings its own checkpointer. A stand-in that was started ends with the server's process.
 */
export const graph = openAssistant(loadConfig(), { warn: (line) => console.error(`mnemail: ${line}`) }).then(
  (assistant) => {
    console.error(`mnemail: ${assistant.storeDescription}`);
    console.error(`mnemail: model: ${assistant.modelDescription}`);
    return assistant.graph;
  },
);
