import { startStandIn } from "../src/stand-in/server.ts";

// The stand-in in a process of its own, so that its work is not done in the one that measures. Writes its URL, and ends
// with its standard input.
const server = await startStandIn();
process.stdout.write(`${server.url}\n`);
process.stdin.resume();
process.stdin.once("end", () => void server.close());
