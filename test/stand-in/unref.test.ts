import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";

test("an unref'd server lets its process end, even with a connection open", async () => {
  const server = new URL("../../src/stand-in/server.ts", import.meta.url).href;
  const code = `
    import { startStandIn } from ${JSON.stringify(server)};
    const { url } = await startStandIn({ unref: true });
    console.log((await fetch(url + "/models")).status);`;
  const run = promisify(execFile)(process.execPath, ["--import", "tsx", "--input-type=module", "-e", code], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    timeout: 10_000,
  });
  expect((await run).stdout.trim()).toBe("200");
});
