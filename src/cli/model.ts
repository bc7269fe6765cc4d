import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { MnemailError } from "../errors.ts";
import { scriptSchema } from "../stand-in/scripted.ts";
import { startStandIn } from "../stand-in/server.ts";

const optionsSchema = z.object({
  port: z.coerce.number().int().min(0).max(65_535).catch(-1),
  script: z.string().optional(),
});

/** `mnemail model`: serves the stand-in on loopback until it is interrupted. Returns the exit code. */
export async function serveModel(rawOptions: unknown): Promise<number> {
  const { port, script } = optionsSchema.parse(rawOptions);
  if (port < 0) throw new MnemailError("usage", "--port: expected a whole number from 0 (any free port) to 65535");
  const { answers = [], faults = [] } = script === undefined ? {} : await loadScript(script);
  const server = await startStandIn({ port, answers, faults }).catch((error: unknown) => {
    throw new MnemailError("model", `--port ${port}: cannot be listened on`, "choose another, or 0", { cause: error });
  });
  console.log(`The stand-in model listens at ${server.url}; it proves wiring, not quality. Stop it with Ctrl-C.`);
  console.log(`Use it from another shell with OPENAI_BASE_URL=${server.url}`);
  await Promise.race([once(process, "SIGINT"), once(process, "SIGTERM")]);
  await server.close();
  return 0;
}

async function loadScript(path: string) {
  try {
    return scriptSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    throw new MnemailError("input", `${path}: is not a script of answers and faults`, "see src/stand-in/scripted.ts", {
      cause: error,
    });
  }
}
