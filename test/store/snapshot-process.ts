import { setTimeout as wait } from "node:timers/promises";
import { z } from "zod";
import { renderError } from "../../src/errors.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { openSnapshotDriver } from "../../src/store/snapshot-driver.ts";

// A process that has a store with a snapshot open, puts one item, says "put", and ends as its parent says, or when it kills
// it. What it is warned of, and why it could not open the store, it says too.

const request = z
  .object({
    path: z.string(),
    everyMs: z.number().default(3_600_000),
    key: z.string(),
    /** `end`: nothing is left to do; `serve`: closes the store at the first SIGTERM. */
    listens: z.enum(["before", "after"]).default("after"),
    does: z.enum(["end", "exit", "throw", "wait", "serve"]),
  })
  .parse(JSON.parse(process.argv[2] ?? ""));

const say = (line: string) => process.stdout.write(`${line}\n`);
try {
  let isTold = false;
  // Gone when it is called.
  const listen = () =>
    process.once("SIGTERM", () => {
      isTold = true;
    });
  if (request.does === "serve" && request.listens === "before") listen();
  const store = await MnemailStore.open(await openSnapshotDriver(request, { warn: (line) => say(`warning: ${line}`) }));
  if (request.does === "serve" && request.listens === "after") listen();
  await store.put(["m"], request.key, { key: request.key }, false);
  say("put");
  if (request.does === "exit") process.exit(3);
  if (request.does === "throw") throw new Error("meant to be");
  while (request.does === "wait" || (request.does === "serve" && !isTold)) await wait(5);
  if (request.does === "serve") {
    await store.put(["m"], "last words", { key: "last words" }, false);
    await store.stop();
    say("closed");
  }
} catch (error) {
  if (renderError(error) === "meant to be") queueMicrotask(() => Promise.reject(error));
  else say(renderError(error));
}
