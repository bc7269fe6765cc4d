import { PGlite } from "@electric-sql/pglite";
import { startPglite } from "../test/support/postgres.ts";

// PGlite in a process of its own (`pglite-server.ts FOLDER LOCALE`), so that its work is not done in the one that
// measures. Writes its URL, and ends with its standard input.
const [folder = "", locale = ""] = process.argv.slice(2);
const database = await PGlite.create({ dataDir: folder, initDbStartParams: [`--locale=${locale}`] });
await database.close();
const server = await startPglite({ folder });
process.stdout.write(`${server.url}\n`);
process.stdin.resume();
process.stdin.once("end", () => void server.stop().finally(() => process.exit(0)));
