import { createRequire, register } from "node:module";
import { pathToFileURL } from "node:url";

/**
 * Imported before a program (`node --import`): the packages of the vector databases are then found as if they were
 * installed beside it. `packages.ts` has them for programs that are in the test process.
 */
if (import.meta.url.endsWith("?hooks") === false) register(`${import.meta.url}?hooks`);

const FOLDER = new URL("../../../.mnemail/vector-packages/package.json", import.meta.url);

/** Looks beside the program first, then in their folder. */
export async function resolve(name, context, next) {
  try {
    return await next(name, context);
  } catch (error) {
    if (error?.code !== "ERR_MODULE_NOT_FOUND" || /^[./]|^\w+:/.test(name)) throw error;
    return { url: pathToFileURL(createRequire(FOLDER).resolve(name)).href, shortCircuit: true };
  }
}
