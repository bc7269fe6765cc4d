import { type Context, Hono } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import { matchedRoutes } from "hono/route";
import type { OpenAssistant } from "../assistant.ts";
import { HTTP_METHODS, type Log, SILENT } from "../log.ts";
import type { Reviews } from "../reviews/reviews.ts";
import { BadRequest, type Caller, type HttpEnv, identify, refuseForeign } from "./caller.ts";
import { errorBody, renderFailure } from "./http-errors.ts";
import { type EmailParts, emailRoutes } from "./routes/emails.ts";
import { feedbackRoutes } from "./routes/feedback.ts";
import { type HealthParts, healthRoutes } from "./routes/health.ts";
import { type MemoryParts, memoryRoutes } from "./routes/memory.ts";
import { pendingRoutes } from "./routes/pending.ts";
import { reviewRoutes } from "./routes/reviews.ts";
import type { Tokens } from "./tokens.ts";

/** Bytes of a request's body; an email's text is cut at far fewer characters. */
const BODY_BYTES = 256 * 1024;

/** What the HTTP routes work with. The caller owns all of it. */
export interface HttpParts {
  assistant: Pick<OpenAssistant, "memory" | "learn" | "approve" | "modelDescription">;
  /** The reviews as their caller may see them. */
  reviews(caller: Caller): Reviews;
  deliver: EmailParts["deliver"];
  threadOf: EmailParts["threadOf"];
  forget: MemoryParts["forget"];
  isStoreReachable: HealthParts["isStoreReachable"];
  /** Who may; undefined lets everybody of this machine act for everybody. */
  tokens: Tokens | undefined;
  now?(): Date;
  /**
   * Told of each request below `/v1`, by the pattern of its route, and of failures that are none of the caller's, who is
   * told no more than that.
   */
  log?: Log;
}

/**
 * The routes of Mnemail: `/health` and `/ready`, and below `/v1` reviews, emails, feedback and memory of the caller
 * (docs/deploy.md). The same on the LangGraph server, which mounts it beside its own, and alone (`mnemail serve`). Replies
 * that are no success are {@link ErrorBody}, without stack traces.
 */
export function createHttpApp(parts: HttpParts): Hono<HttpEnv> {
  const { assistant, reviews, deliver, threadOf, forget, now = () => new Date(), log = SILENT } = parts;
  const { memory, learn, modelDescription } = assistant;
  const app = new Hono<HttpEnv>();
  app.onError((error, c) => {
    if (error instanceof BadRequest || error instanceof HTTPException) {
      // The rest of a body that is too large is not read, so the connection cannot be used again.
      if (error.status === 413) c.header("connection", "close");
      return c.json(errorBody("input", error.message || "the request cannot be read"), error.status);
    }
    const { status, body } = renderFailure(error);
    if (status >= 500) log.event("http.failed", { ...requestOf(c), error });
    if (status === 401) c.header("www-authenticate", "Bearer");
    return c.json(body, status);
  });
  const tooLarge = () => {
    throw new BadRequest(413, `body: more than ${BODY_BYTES} bytes`);
  };
  const { isStoreReachable } = parts;
  app.route("/", healthRoutes({ isStoreReachable, modelDescription }));
  app.use("/v1/*", async (c, next) => {
    const started = performance.now();
    await next();
    const user = c.get("caller")?.userId;
    const what = { status: c.res.status, ms: Math.round(performance.now() - started) };
    log.event("http.request", { ...requestOf(c), ...what, ...(user === undefined ? {} : { user }) });
  });
  // Only here: on the LangGraph server these would stand before its own routes too.
  if (!parts.tokens) app.use("/v1/*", refuseForeign);
  app.use("/v1/*", identify(parts.tokens), bodyLimit({ maxSize: BODY_BYTES, onError: tooLarge }));
  app.route("/v1", reviewRoutes(reviews));
  app.route("/v1", emailRoutes({ memory, reviewsOf: reviews, deliver, threadOf, now }));
  app.route("/v1", feedbackRoutes(learn));
  app.route("/v1", pendingRoutes(assistant, now));
  app.route("/v1", memoryRoutes({ memory, forget, now }));
  app.all("/v1/*", (c) => c.json(errorBody("missing", `${c.req.method} ${c.req.path}: there is no such route`), 404));
  return app;
}

/** A request as the log tells it: the pattern of its route, never its path. */
function requestOf(c: Context<HttpEnv>) {
  const method = HTTP_METHODS.find((each) => each === c.req.method) ?? "OPTIONS";
  // The last that matches is what answers whatever no route did.
  const matched = matchedRoutes(c).map(({ path }) => path);
  const route = matched.find((path) => !path.endsWith("*")) ?? "/v1/*";
  return { method, route: `/${route.slice(1)}` as const };
}
