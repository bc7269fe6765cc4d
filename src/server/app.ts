import { server } from "./langgraph-server.ts";
import { createServerRunner } from "./server-runner.ts";

const opened = await server;

/** What `langgraph.json` names to be served beside the LangGraph server's own routes. */
export const app = opened.createApp(createServerRunner(opened.assistant));
