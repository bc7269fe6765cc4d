import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { z } from "zod";
import { type Config, loadConfig } from "../config.ts";
import { MnemailError } from "../errors.ts";
import type { Reviews } from "../reviews/reviews.ts";
import { openTokens } from "../server/tokens.ts";
import { describeFailure } from "../server/warning.ts";
import { describeStore } from "../store-config/describe-store.ts";
import { flushTraces, startTracing } from "../tracing.ts";
import { note } from "./output.ts";

/** How long requests that are being answered are waited for. */
const DRAIN_MS = 30_000;
const LOOPBACK = ["127.0.0.1", "::1", "localhost"];

const optionsSchema = z.object({
  port: z.coerce.number().int().min(0).max(65_535).catch(-1),
  host: z.string(),
});

/** `mnemail serve`: serves the HTTP routes on local threads until it is interrupted. Returns the exit code. */
export async function serve(rawOptions: unknown): Promise<number> {
  const { port, host } = optionsSchema.parse(rawOptions);
  if (port < 0) throw new MnemailError("usage", "--port: expected a whole number from 0 (any free port) to 65535");
  const config = loadConfig();
  const tokens = openTokens(config, note);
  if (!tokens && !LOOPBACK.includes(host)) {
    const what = `--host ${host}: without API_TOKENS everybody who reaches this machine could act for every user`;
    throw new MnemailError("usage", what, "set API_TOKENS, or listen on 127.0.0.1");
  }
  await startTracing(config, note);
  await using _traces = { [Symbol.asyncDispose]: () => flushTraces(config, note) };
  // Imported after the settings proved right, since they load LangChain.
  const { openServer } = await import("../server/open.ts");
  const { createLocalRunner } = await import("../server/local-runner.ts");
  const { createAdaptorServer } = await import("@hono/node-server");
  await using opened = await openServer(config, { tokens, warn: note, keepThreads: true });
  note(describeStore(config.store));
  note(`model: ${opened.assistant.modelDescription}`);
  await goOn(config, opened.assistant);
  const app = opened.createApp(createLocalRunner(opened.assistant));
  const server = createAdaptorServer({ fetch: app.fetch });
  server.listen(port, host);
  await once(server, "listening").catch((error: unknown) => {
    const hint = "choose another port, or 0";
    throw new MnemailError("usage", `--port ${port}: cannot be listened on at ${host}`, hint, { cause: error });
  });
  console.log(`Mnemail listens at ${urlOf(server.address())}. Stop it with Ctrl-C.`);
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  note("stopping: finishes what is being answered");
  const closed = once(server, "close");
  server.close();
  if ("closeIdleConnections" in server) server.closeIdleConnections();
  const late = setTimeout(() => {
    note(`requests were still being answered after ${DRAIN_MS / 1_000} s: they are cut off`);
    if ("closeAllConnections" in server) server.closeAllConnections();
  }, DRAIN_MS);
  await closed;
  clearTimeout(late);
  return 0;
}

interface Cut {
  memory: { extractions: { users(): Promise<string[]> } };
  reviews: Reviews;
  extractInBackground(userId: string): void;
}

/** Goes on with what an earlier process was stopped over, as long as nobody else is at work. */
async function goOn(config: Config, { memory, reviews, extractInBackground }: Cut): Promise<void> {
  for (const { userId } of config.apiTokens ?? []) {
    for await (const { thread_id, error } of reviews.resume(userId)) {
      const outcome = error === undefined ? "finished" : `still not finished: ${describeFailure(error)}`;
      note(`thread ${thread_id}, which was cut off: ${outcome}`);
    }
  }
  if (!config.memoryExtraction) return;
  for (const user of await memory.extractions.users()) extractInBackground(user);
}

function urlOf(address: AddressInfo | string | null): string {
  if (typeof address === "string" || address === null) return String(address);
  const host = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}`;
}
