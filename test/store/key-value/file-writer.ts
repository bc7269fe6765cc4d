import fs, { cpSync, existsSync, writeSync } from "node:fs";
import promises from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { join } from "node:path";
import { z } from "zod";
import type { KeyChange } from "../../../src/store/key-value/key-value.ts";

// A process that writes texts into a folder. It writes until it is killed and says what was acknowledged, or it writes
// once and copies the folder before each of its calls of the file system: what is in the copies is what a kill leaves. Or
// it stops (SIGSTOP) right before one of these calls, and says how the write ended when it goes on.

const changeSchema = z.object({ key: z.string(), text: z.string().nullable() });
const requestSchema = z.discriminatedUnion("do", [
  /** Batches of slots and single items in turn; `name` makes the keys unique. */
  z.object({ do: z.literal("write"), folder: z.string(), name: z.string(), slots: z.array(z.string()) }),
  /** Opens the folder, makes the changes, and leaves the copies as `COPIES/1`, `COPIES/2` and so on. */
  z.object({ do: z.literal("step"), folder: z.string(), changes: z.array(changeSchema), copies: z.string() }),
  /** Makes the changes and reads all; `mode` is that of the files. */
  z.object({ do: z.literal("once"), folder: z.string(), changes: z.array(changeSchema), mode: z.number().optional() }),
  /** Stops before the first call of `call` whose last path matches `path`, after saying so. */
  z.object({
    do: z.literal("stop"),
    folder: z.string(),
    changes: z.array(changeSchema),
    call: z.enum(["rename", "rm"]),
    path: z.string(),
  }),
]);
const request = requestSchema.parse(JSON.parse(process.argv[2] ?? ""));

let last: Promise<unknown> = Promise.resolve();

/** Makes asynchronous functions of an object take turns, each after a call of `before`. */
function intercept(of: object, names: readonly string[], before: () => void): void {
  for (const name of names) {
    const real: unknown = Reflect.get(of, name);
    if (typeof real !== "function") throw new Error(`no such function: ${name}`);
    Reflect.set(of, name, function intercepted(this: unknown, ...args: unknown[]): unknown {
      const turn = last.then(() => {
        before();
        return Reflect.apply(real, this, args);
      });
      last = turn.catch(() => {});
      return turn;
    });
  }
}

if (request.do === "step") {
  const { folder, copies } = request;
  let steps = 0;
  const copy = () => {
    steps += 1;
    if (existsSync(folder)) cpSync(folder, join(copies, String(steps)), { recursive: true });
  };
  const handle = await promises.open(process.execPath, "r");
  await handle.close();
  intercept(promises, ["chmod", "mkdir", "open", "rename", "rm", "rmdir"], copy);
  intercept(Object.getPrototypeOf(handle), ["writeFile", "chmod", "sync"], copy);
  const { unlinkSync } = fs;
  fs.unlinkSync = (path) => {
    copy();
    unlinkSync(path);
  };
  syncBuiltinESMExports();
}
const { openFolder } = await import("../../../src/store/key-value/file.ts");
const place = await openFolder(request.folder, request.do === "once" ? request.mode : undefined);
const ended = async () => {
  if (request.do === "stop" || request.do === "once") await place.write(request.changes);
  if (request.do === "once") await place.list("");
  return "acknowledged";
};
const report = async () => process.stdout.write(`${await ended().catch(({ message }) => message)}\n`);
if (request.do === "once") await report();
else if (request.do === "stop") {
  const { call, path } = request;
  const real: unknown = Reflect.get(promises, call);
  if (typeof real !== "function") throw new Error(`no such function: ${call}`);
  let isDue = true;
  Reflect.set(promises, call, function stopped(this: unknown, ...args: unknown[]): unknown {
    if (isDue && new RegExp(path).test(String(args.findLast((each) => typeof each === "string")))) {
      isDue = false;
      writeSync(1, "stops\n");
      process.kill(process.pid, "SIGSTOP");
    }
    return Reflect.apply(real, this, args);
  });
  syncBuiltinESMExports();
  await report();
} else if (request.do === "step") {
  if (request.changes.length > 0) await place.write(request.changes);
} else {
  const { name, slots } = request;
  let generation = Number((await place.read([slots[0] ?? ""]))[0] ?? "0");
  for (let i = 0; ; i += 1) {
    generation += 1;
    const spare: KeyChange = { key: `${slots[0]}-spare`, text: generation % 2 === 1 ? String(generation) : null };
    await place.write([...slots.map((key) => ({ key, text: String(generation) })), spare]);
    process.stdout.write(`${JSON.stringify({ generation })}\n`);
    const item = `r/items/=${name}-${i}`;
    await place.write([{ key: item, text: item }]);
    process.stdout.write(`${JSON.stringify({ item })}\n`);
  }
}
