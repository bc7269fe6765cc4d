import { setTimeout as delay } from "node:timers/promises";
import { type Config, exportTracing } from "./config.ts";
import { maskUrl } from "./store-config/masks.ts";
import { describeTracing } from "./tracing-config.ts";

/** The longest that a program waits at its end for LangSmith to take the last traces. */
const FLUSH_MS = 3_000;

let isAbandoned = false;

/**
 * Turns tracing on where a configuration asks for it, before anything is run, and tells `note` where traces go and that the
 * text of mail goes with them. Where inputs or outputs are to be hidden, what LangSmith's client would send of them all the
 * same is hidden too: the messages of errors, among them the payload of an interrupt, and streamed tokens.
 */
export async function startTracing({ tracing }: Pick<Config, "tracing">, note: (line: string) => void): Promise<void> {
  if (!tracing) return;
  note(`tracing: ${describeTracing(tracing)}`);
  exportTracing({ tracing });
  if (!tracing.hideInputs && !tracing.hideOutputs) return;
  const { LangChainTracer } = await import("@langchain/core/tracers/tracer_langchain");
  // The one client of the process, which every tracer has.
  const { client } = new LangChainTracer();
  const [createRun, updateRun] = [client.createRun.bind(client), client.updateRun.bind(client)];
  client.createRun = (run) => createRun(withoutText(run));
  client.updateRun = (id, run) => updateRun(id, withoutText(run));
}

/** The parts of a run, as LangSmith's client takes it, that hold text although inputs and outputs are hidden. */
interface Traced {
  error?: string;
  events?: Record<string, unknown>[];
}

function withoutText<T extends object & Traced>(run: T): T {
  const { error, events } = run;
  return {
    ...run,
    ...(error === undefined ? {} : { error: "hidden, as inputs or outputs are" }),
    ...(events === undefined ? {} : { events: events.map(({ name, time }) => ({ name, time })) }),
  };
}

/**
 * Waits until LangSmith has the traces of what was done, 3 seconds at most; a server that does not answer loses them,
 * and `warn` says so. Nothing where nothing is traced. Never throws.
 */
export async function flushTraces({ tracing }: Pick<Config, "tracing">, warn: (line: string) => void): Promise<void> {
  if (!tracing) return;
  const { awaitAllCallbacks } = await import("@langchain/core/callbacks/promises");
  const timer = new AbortController();
  const isFlushed = await Promise.race([
    awaitAllCallbacks().then(() => true),
    delay(FLUSH_MS, false, { signal: timer.signal }),
  ]);
  timer.abort();
  if (isFlushed) return;
  isAbandoned = true;
  warn(`traces: ${maskUrl(tracing.endpoint)} did not take them within ${FLUSH_MS / 1_000} s; the last ones are lost`);
}

/** Whether traces were given up that are still being tried: a program that is done must not wait for these. */
export function hasAbandonedTraces(): boolean {
  return isAbandoned;
}
