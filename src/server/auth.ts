import { tokens } from "./langgraph-server.ts";
import { createServerAuth } from "./server-auth.ts";

/** What `langgraph.json` names to know users by the tokens of the configuration. */
export const auth = createServerAuth(tokens);
