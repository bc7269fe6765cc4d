import { Auth, HTTPException } from "@langchain/langgraph-sdk/auth";
import { getPath } from "hono/utils/url";
import { z } from "zod";
import type { ErrorCode } from "../errors.ts";
import { encodeUserId, userRoots } from "../store/namespaces.ts";
import { isBelow } from "../store/row-driver.ts";
import { errorBody, STATUS } from "./http-errors.ts";
import type { Tokens } from "./tokens.ts";

/** What asks whether the process is up carries no token. */
const PUBLIC_PATHS = ["/ok", "/health", "/ready"];

const namesUser = z.looseObject({ user_id: z.unknown(), langgraph_user_id: z.unknown() }).partial();
const runSchema = z.looseObject({
  config: z.looseObject({ configurable: namesUser.nullish() }).nullish(),
  context: namesUser.nullish(),
  webhook: z.unknown(),
});

/**
 * Who may do what on the LangGraph server: everybody only what is theirs. Without tokens nothing is checked, and a run's
 * user is who its configuration names.
 *
 * The server of `langgraphjs dev` asks no handler about some of what it does; those requests are refused, or checked, as
 * they come in (docs/deploy.md).
 */
export function createServerAuth(tokens: Tokens | undefined): Auth {
  const auth = new Auth();
  if (!tokens) return auth;
  // Whose run this is, since the server hands the stream of any run to who names it. It keeps the streams as long.
  const runOwners = new Map<string, string>();

  auth.authenticate((request) => {
    // As the server's router reads it, so that no spelling of a path gets by.
    const path = getPath(request);
    if (request.method === "GET" && PUBLIC_PATHS.includes(path)) return { identity: "", permissions: [] };
    const identity = tokens(request.headers);
    if (identity === undefined) {
      throw refusal("unauthorized", "token: missing or not known", "send `Authorization: Bearer TOKEN`");
    }
    if (/^\/internal(\/|$)/.test(path)) throw refusal("forbidden", `${path}: empties the server for all users`);
    if (/^\/threads\/[^/]+\/(commands|stream\/events)$/.test(path)) {
      const hint = "use /threads/{thread_id}/runs/stream";
      throw refusal("forbidden", `${path}: cannot tell users apart`, hint);
    }
    const runId = /\/runs\/([^/]+)/.exec(path)?.[1]?.toLowerCase() ?? "";
    if ((runOwners.get(runId) ?? identity) !== identity) throw refusal("missing", `run ${runId}: there is none`);
    return { identity, permissions: [] };
  });

  // What no handler below names.
  auth.on("*", () => false);

  auth.on(["threads:read", "threads:delete", "threads:search"], ({ user }) => ({ owner: user.identity }));
  auth.on(["threads:create", "threads:update"], ({ value, user }) => {
    const given = value.metadata?.["owner"];
    if (given !== undefined && given !== user.identity) throw otherUser("metadata.owner");
    value.metadata = { ...value.metadata, owner: user.identity };
    return { owner: user.identity };
  });
  auth.on("threads:create_run", ({ value, user }) => {
    const userId = user.identity;
    const run = runSchema.safeParse(value.kwargs).data;
    if (!run) throw refusal("usage", "config and context: expected objects");
    if (run.webhook !== undefined && run.webhook !== null) {
      throw refusal("forbidden", "webhook: the server calls no address for a user", "wait for the run, or stream it");
    }
    const { configurable } = run.config ?? {};
    const given = [
      configurable?.user_id,
      configurable?.langgraph_user_id,
      run.context?.user_id,
      value.metadata?.["owner"],
    ];
    if (given.some((each) => each !== undefined && each !== null && each !== userId)) throw otherUser("user_id");
    value.kwargs["config"] = {
      ...run.config,
      configurable: { ...configurable, user_id: userId, langgraph_user_id: userId },
    };
    value.kwargs["context"] = { ...run.context, user_id: userId };
    value.metadata = { ...value.metadata, owner: userId };
    runOwners.set(value.run_id.toLowerCase(), userId);
    return { owner: userId };
  });

  auth.on(["assistants:read", "assistants:search"], () => true);
  auth.on(["assistants:create", "assistants:update", "assistants:delete"], () => {
    throw refusal("forbidden", "assistants: are the operator's, since all users run them");
  });
  auth.on("crons", () => {
    throw refusal("forbidden", "crons: are not offered");
  });
  auth.on("store", ({ value, user }) => {
    const namespace = value.namespace ?? [];
    const roots = Object.values(userRoots(user.identity));
    if (!roots.some((root) => isBelow(namespace, root))) {
      throw refusal("forbidden", "namespace: belongs to another user, or to more than one");
    }
    // The in-memory store of the dev server finds `user10` below `user1`.
    return { namespace: { $contains: encodeUserId(user.identity) } };
  });
  return auth;
}

function otherUser(field: string): HTTPException {
  return refusal("forbidden", `${field}: names another user than the token`, "leave it out");
}

/** The server gives a handler's message as the body of its reply. */
function refusal(code: ErrorCode, message: string, hint?: string): HTTPException {
  const challenge = code === "unauthorized" ? { "www-authenticate": "Bearer" } : {};
  return new HTTPException(STATUS[code], {
    message: JSON.stringify(errorBody(code, message, hint)),
    headers: { "content-type": "application/json", ...challenge },
  });
}
