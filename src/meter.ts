import { AsyncLocalStorage } from "node:async_hooks";
import { z } from "zod";

/** What one email (or one feedback) cost. Tokens as the model server reports them; `ms` is wall-clock time. */
export const usageSchema = z.object({
  model_calls: z.number(),
  input_tokens: z.number(),
  output_tokens: z.number(),
  embedding_calls: z.number(),
  store_round_trips: z.number(),
  ms: z.number(),
});

/** See {@link usageSchema}. */
export type Usage = z.infer<typeof usageSchema>;

/** A usage of nothing. */
export const NO_USAGE: Readonly<Usage> = {
  model_calls: 0,
  input_tokens: 0,
  output_tokens: 0,
  embedding_calls: 0,
  store_round_trips: 0,
  ms: 0,
};

/** Adds two usages, field by field. */
export function addUsage(a: Usage, b: Usage): Usage {
  return {
    model_calls: a.model_calls + b.model_calls,
    input_tokens: a.input_tokens + b.input_tokens,
    output_tokens: a.output_tokens + b.output_tokens,
    embedding_calls: a.embedding_calls + b.embedding_calls,
    store_round_trips: a.store_round_trips + b.store_round_trips,
    ms: a.ms + b.ms,
  };
}

interface Meter {
  usage: Usage;
  parent: Meter | undefined;
}

const current = new AsyncLocalStorage<Meter>();

/** Adds to every meter that is running around the caller; without one it does nothing. */
export function count(what: Exclude<keyof Usage, "ms">, amount = 1): void {
  for (let meter = current.getStore(); meter; meter = meter.parent) meter.usage[what] += amount;
}

/**
 * Runs `run` and hands it a function that tells what was used so far. Meters nest: what an inner one counts,
 * the outer one counts too. The count is right also when `run` throws, as the caller keeps `usage`.
 */
export async function metered<T>(run: (usage: () => Usage) => Promise<T>): Promise<T> {
  const started = performance.now();
  const meter: Meter = { usage: { ...NO_USAGE }, parent: current.getStore() };
  return current.run(meter, () => run(() => ({ ...meter.usage, ms: Math.round(performance.now() - started) })));
}

/**
 * Runs `run` ahead of whoever needs it: what it uses is counted by no meter around this, but by those around the call of
 * `charge`, once.
 */
export function ahead<T>(run: () => Promise<T>): { result: Promise<T>; charge: () => void } {
  const meter: Meter = { usage: { ...NO_USAGE }, parent: undefined };
  const charge = () => {
    const used = meter.usage;
    meter.usage = { ...NO_USAGE };
    for (let around = current.getStore(); around; around = around.parent) around.usage = addUsage(around.usage, used);
  };
  return { result: current.run(meter, run), charge };
}
