import { note } from "./output.ts";

const FIRST_AFTER_MS = 2_000;
const THEN_EVERY_MS = 5_000;

/** A function to tell how far work is, which says so on stderr from time to time when it takes long. */
export function showProgress(what: string): (done: number, waiting?: number) => void {
  let next = Date.now() + FIRST_AFTER_MS;
  return (done, waiting) => {
    if (Date.now() < next) return;
    next = Date.now() + THEN_EVERY_MS;
    note(`${what}: ${plural(done, "item")}${waiting === undefined ? "" : `, ${plural(waiting, "field")} to go`}`);
  };
}

/** A number with its noun, such as `1 item`, `2 items`; `many` where that takes no s. */
export function plural(count: number, noun: string, many = `${noun}s`): string {
  return `${count} ${count === 1 ? noun : many}`;
}
