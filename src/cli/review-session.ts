import { z } from "zod";
import type { OpenAssistant } from "../assistant.ts";
import { type Config, loadConfig } from "../config.ts";
import { MnemailError, renderError } from "../errors.ts";
import type { PendingReview } from "../reviews/pending-reviews.ts";
import type { Reviews } from "../reviews/reviews.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { note, shorten } from "./output.ts";
import { renderActionLine } from "./review-action.ts";
import { openSession } from "./session.ts";

/** The options that every `mnemail review` command has. */
export const reviewOptionsSchema = z.object({
  user: z.string(),
  server: z
    .url({ protocol: /^https?$/ })
    .optional()
    .catch("invalid"),
  token: z.string().optional(),
  json: z.boolean().default(false),
});

/** See {@link reviewOptionsSchema}. */
export type ReviewOptions = z.infer<typeof reviewOptionsSchema>;

/** What review commands work with: the reviews of local threads or of a server's, and the assistant beside them. */
export interface ReviewSession extends AsyncDisposable {
  user: string;
  /** The address of the LangGraph server whose threads these are. */
  server: string | undefined;
  config: Config;
  assistant: OpenAssistant;
  reviews: Reviews;
}

/** Opens the reviews of the environment. @throws MnemailError for options and settings that are wrong. */
export async function openReviewSession({ user, server, token }: ReviewOptions): Promise<ReviewSession> {
  encodeUserId(user);
  if (server === "invalid")
    throw new MnemailError("usage", "--server: expected an address such as http://localhost:2024");
  if (token !== undefined && server === undefined) throw new MnemailError("usage", "--token: is for --server URL");
  const config = loadConfig();
  const assistant = await openSession(config);
  const reviews =
    server === undefined ? assistant.reviews : await serverReviews(server, token ?? config.apiToken, assistant);
  return { user, server, config, assistant, reviews, [Symbol.asyncDispose]: () => assistant[Symbol.asyncDispose]() };
}

/** Reviews of a server's threads: the texts and the runs are there, the list and what is learnt in the store of both. */
async function serverReviews(
  apiUrl: string,
  token: string | undefined,
  { memory, learn }: OpenAssistant,
): Promise<Reviews> {
  const [{ Client }, { openReviews }, { serverThreads }] = await Promise.all([
    import("@langchain/langgraph-sdk"),
    import("../reviews/reviews.ts"),
    import("../reviews/server-threads.ts"),
  ]);
  const defaultHeaders = token === undefined ? {} : { authorization: `Bearer ${token}` };
  // Without `null`, a LangSmith key of the environment would be sent to whatever server this is.
  const threads = serverThreads(new Client({ apiUrl, apiKey: null, defaultHeaders, callerOptions: { maxRetries: 1 } }));
  return openReviews({ memory, threads, rehearse: (userId, feedback) => learn(userId, feedback, { dryRun: true }) });
}

/**
 * What waits under an id, the beginning of one, or the id of an email for which one thing waits.
 *
 * @throws MnemailError for an id that is unknown, ambiguous or was answered already.
 */
export async function findReview({ reviews, user }: ReviewSession, id: string): Promise<PendingReview> {
  try {
    return await reviews.find(user, id);
  } catch (error) {
    if (!(error instanceof MnemailError) || error.code !== "missing") throw error;
    const hint = `\`mnemail review list --user ${user}\` prints what waits`;
    const [found, ...others] = (await reviews.list(user)).filter(({ email }) => email.id === id);
    if (!found && /^[0-9a-f]{1,32}$/.test(id)) throw error;
    if (!found)
      throw new MnemailError("missing", `${shorten(id)}: nothing waits under that id, nor for that email`, hint);
    if (others.length === 0) return found;
    const candidates = [found, ...others].map((each) => `${each.id.slice(0, 12)} (${renderActionLine(each.action)})`);
    throw new MnemailError("input", `email ${shorten(id)}: ${candidates.join(", ")}`, "name one of them by its id");
  }
}

/** What waits to be remembered of an email, in its words. */
export async function pendingMemories({ assistant, user }: ReviewSession): Promise<(emailId: string) => string[]> {
  const pending = await assistant.memory.pending.list(user);
  return (emailId) => pending.filter(({ record }) => record.source === emailId).map(({ record }) => record.content);
}

/** The options that name whose reviews, and where, for commands that people are told to type. */
export function renderWhose({ user, server }: Pick<ReviewSession, "user" | "server">): string {
  return `--user ${shorten(user)}${server === undefined ? "" : ` --server ${shorten(server)}`}`;
}

/** Finishes what was cut off after an answer, and says so on stderr. Returns how much was finished, and how much was not. */
export async function finishCutOff({ reviews, user }: ReviewSession): Promise<{ finished: number; failed: number }> {
  let [finished, failed] = [0, 0];
  for await (const { thread_id, error } of reviews.resume(user)) {
    if (error === undefined) finished += 1;
    else failed += 1;
    const thread = `thread ${shorten(thread_id, 100)}`;
    note(
      error === undefined
        ? `${thread}: finished what was cut off after an earlier answer`
        : `${thread}: was cut off after an earlier answer, and is still not finished: ${renderError(error)}`,
    );
  }
  return { finished, failed };
}
