import { server } from "./langgraph-server.ts";

/** The graph that `langgraph.json` names, with the same store as the scripts. The server awaits the promise. */
export const graph = server.then(({ assistant }) => assistant.graph);
