import { MnemailError } from "../errors.ts";
import type { GraphThreads } from "./threads.ts";

async function refuse(): Promise<never> {
  throw new MnemailError("usage", "reviews: this assistant keeps no threads", "open it with a checkpointer");
}

/** The threads of an assistant without a checkpointer. Every method throws MnemailError("usage"). */
export const NO_THREADS: GraphThreads = {
  isServer: false,
  read: refuse,
  turns: { hold: refuse, holdIfFree: refuse },
  resume: refuse,
  proceed: refuse,
  unfinished: refuse,
};
