import type { Auth } from "@langchain/langgraph-sdk/auth";
import { tokens } from "./langgraph-server.ts";
import { createServerAuth } from "./server-auth.ts";

/** What `langgraph.json` names to know users by the tokens of the configuration. */
export const auth: Auth = createServerAuth(tokens);
