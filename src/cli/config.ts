import { z } from "zod";
import { loadConfig, renderConfig } from "../config.ts";
import { printJson } from "./output.ts";

/** `mnemail config`: prints the settings in force, secrets masked. Returns the exit code. */
export async function showConfig(rawOptions: unknown): Promise<number> {
  const { json } = z.object({ json: z.boolean().default(false) }).parse(rawOptions);
  const settings = renderConfig(loadConfig());
  if (json) printJson(settings);
  else {
    const width = Math.max(...Object.keys(settings).map((name) => name.length));
    for (const [name, value] of Object.entries(settings)) console.log(`${name.padEnd(width)} ${value}`);
  }
  return 0;
}
