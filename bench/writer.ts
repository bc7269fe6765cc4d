import { createInterface } from "node:readline";
import { z } from "zod";
import { putText } from "./data.ts";
import { openPeer } from "./peers.ts";

// The second process: `writer.ts KIND PLACE` opens a store and, told a namespace as JSON, puts into it without a pause
// until told to stop. Keys come round again, so that the namespace does not grow for ever.

const KEYS = 50;
const [kind, place] = z.tuple([z.enum(["sqlite", "postgres", "upstream"]), z.string()]).parse(process.argv.slice(2));
const peer = await openPeer(kind, place);
const say = (line: string) => void process.stdout.write(`${line}\n`);
let stopping = false;
let writing: Promise<void> | undefined;

async function write(namespace: string[]): Promise<void> {
  for (let i = 0; !stopping; i += 1) {
    await peer.put?.({ namespace, key: `beside-${i % KEYS}`, text: putText(i) });
    if (i === 0) say("started");
    // SQLite answers without a turn of the event loop, on which the order to stop arrives.
    await new Promise((resolve) => setImmediate(resolve));
  }
}

say("ready");
for await (const line of createInterface({ input: process.stdin })) {
  if (line === "stop") {
    stopping = true;
    await writing;
    say("stopped");
  } else {
    stopping = false;
    writing = write(z.array(z.string()).parse(JSON.parse(line)));
  }
}
await peer.close();
