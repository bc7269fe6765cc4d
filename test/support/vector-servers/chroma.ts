import { spawn } from "node:child_process";
import { type AddressInfo, createServer } from "node:net";
import { temporaryFolder } from "../assistant.ts";
import { until } from "../http.ts";
import { vectorPackageFile } from "./packages.ts";
import type { Loopback } from "./table.ts";

/** Starts a real Chroma server, from the native part of its npm package, on a free port and in an empty folder. */
export async function startChroma(): Promise<Loopback> {
  const folder = temporaryFolder();
  const port = await freePort();
  // Not its command line program, which asks the registry for newer versions.
  const native = vectorPackageFile("chromadb-js-bindings-linux-x64-gnu/chromadb-js-bindings.linux-x64-gnu.node");
  const options = ["run", "--path", folder.path("chroma"), "--host", "127.0.0.1", "--port", String(port)];
  const program = `require(${JSON.stringify(native)}).cli(${JSON.stringify(["chroma", ...options])})`;
  const child = spawn(process.execPath, ["-e", program], { stdio: "ignore" });
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const url = `http://127.0.0.1:${port}`;
  await until(async () => {
    if (child.exitCode !== null) throw new Error("the Chroma server ended at once");
    const response = await fetch(`${url}/api/v2/heartbeat`).catch(() => undefined);
    return response?.ok ? true : undefined;
  });
  return {
    ...{ url, port },
    async stop() {
      child.kill("SIGKILL");
      await ended;
      folder[Symbol.dispose]();
    },
  };
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
