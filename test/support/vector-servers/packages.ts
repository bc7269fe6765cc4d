import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Where `test/store/hybrid/install-packages.sh` puts the packages of the vector databases. */
const FOLDER = fileURLToPath(new URL("../../../.mnemail/vector-packages/", import.meta.url));

/** Whether they are there; a test that needs them says so and is skipped elsewhere. */
export const hasVectorPackages = existsSync(`${FOLDER}installed.json`);

if (!hasVectorPackages) {
  console.log("skipped: the vector databases, whose packages `test/store/hybrid/install-packages.sh` installs");
}

/** The file of a package that is not exported, such as its native part. */
export function vectorPackageFile(path: string): string {
  return `${FOLDER}node_modules/${path}`;
}

/** Imports one of these packages as a program that has it installed would. */
export async function importVectorPackage(name: string): Promise<unknown> {
  // Resolved as `require` does, and imported: what has both forms gives the one for `require`, which is as real.
  return import(pathToFileURL(createRequire(`${FOLDER}package.json`).resolve(name)).href);
}
