import pLimit from "p-limit";
import { MnemailError } from "../../errors.ts";
import type { S3Config } from "../../store-config/s3-place.ts";
import type { RowDriver } from "../row-driver.ts";
import type { SearchLanguage } from "../tokens.ts";
import type { KeyChange, KeyValue } from "./key-value.ts";
import { createKeyValueDriver } from "./key-value-driver.ts";
import { type CallKind, createPatience } from "./patience.ts";
import { openBucket, type S3Bucket, type S3Condition } from "./s3-bucket.ts";
import { isS3Away, S3Refusal, s3Error } from "./s3-errors.ts";
import { TextCache } from "./text-cache.ts";

/** How a bucket is used. Durations in milliseconds. */
export interface S3Options {
  /** How long a server that is away is waited for; 10 s by default. */
  retryMs?: number;
  /** How long one request may take; 30 s by default. */
  timeoutMs?: number;
  warn?: (line: string) => void;
}

const REQUESTS_AT_ONCE = 16;
/** How often others may change a text between its reading and its writing. */
const RACES = 20;
/** Looked at when a bucket is opened, to learn whether preconditions hold there. */
const PROBE = "probe";
const PROBE_TEXT = '"Mnemail learns here whether this server keeps to If-Match and If-None-Match."';
const UNSAFE = "the server passes over If-Match and If-None-Match: of two writers at once, one may lose its change";

/**
 * Opens texts by key in a bucket of S3 or of a server that speaks its protocol; each is an object. A change that expects
 * something is one request with a precondition, so that of two writers one is told; a batch is not all or nothing.
 * Texts are kept in process and fetched again when the listing or the server says that they changed. Nothing expires by
 * itself.
 *
 * @throws MnemailError("store") in one line, without secrets, as every method does.
 */
export async function openS3(config: S3Config, options: S3Options = {}): Promise<KeyValue> {
  const { retryMs = 10_000, timeoutMs = 30_000, warn = () => {} } = options;
  const bucket = openBucket(config, timeoutMs);
  const { place } = bucket;
  const explain = (error: unknown, often: string, kind: CallKind) => s3Error(place, error, often, kind);
  const patience = createPatience({ retryMs, isAway: isS3Away, explain });
  const patiently = <T>(run: () => Promise<T>, kind?: CallKind) => patience((inTime) => inTime(run()), kind);
  // Whoever may not list is told so here, and not that nothing is there.
  await patiently(() => bucket.list("", undefined, 1));
  const isSafe = await patiently(() => keepsPreconditions(bucket));
  if (!isSafe) warn(`${place}: ${UNSAFE}`);
  const texts = createTexts(bucket, isSafe);
  const limit = pLimit(REQUESTS_AT_ONCE);
  const inParallel = <T, R>(each: readonly T[], run: (one: T) => Promise<R>, kind?: CallKind) =>
    Promise.all(each.map((one) => limit(() => patiently(() => run(one), kind))));

  const find = async (prefix: string) => {
    const found: { name: string; etag: string }[] = [];
    for (let next: string | undefined, isFirst = true; isFirst || next !== undefined; isFirst = false) {
      const page = await patiently(() => bucket.list(toName(prefix), next));
      for (const entry of page.entries) if (entry.name !== PROBE) found.push(entry);
      next = page.next;
    }
    return found;
  };

  return {
    name: `S3 (${place})`,
    isAtomic: false,
    nameOf: (key) => bucket.nameOf(toName(key)),
    read: (keys) => inParallel(keys, async (key) => (await texts.read(toName(key)))?.text ?? null),
    async list(prefix) {
      const listed = await find(prefix);
      texts.begin();
      const found = await inParallel(listed, async ({ name, etag }) => ({
        key: toKey(name),
        text: await texts.readAs(name, etag),
      }));
      // What was removed between the listing and the reading is gone.
      return found.flatMap(({ key, text }) => (text === undefined ? [] : [{ key, text }]));
    },
    async keys(prefix) {
      return (await find(prefix)).map(({ name }) => toKey(name));
    },
    async write(changes) {
      // What fails already now makes nothing half; those that expect something come first, for the same reason.
      const expecting = changes.filter(({ expected }) => expected !== undefined);
      if (expecting.length > 1 || changes.length > expecting.length) {
        const found = await inParallel(expecting, ({ key }) => texts.read(toName(key)));
        if (!expecting.every(({ expected }, i) => (found[i]?.text ?? null) === expected)) return false;
      }
      for (const change of expecting) {
        if (!(await changeIf(change))) return false;
      }
      const plain = new Map(
        changes.filter(({ expected }) => expected === undefined).map((each) => [each.key, each.text]),
      );
      await inParallel([...plain], ([key, text]) => texts.put(toName(key), text), "change");
      return true;
    },
    problems: async () =>
      isSafe ? [] : [{ problem: UNSAFE, hint: "let one process at a time write, or take a server that keeps to them" }],
    async vacuum() {
      try {
        if (!(await patiently(() => bucket.isVersioned()))) return [];
        return [`${place}: the bucket keeps versions, of removed items too, until a lifecycle rule expires them`];
      } catch (error) {
        if (!(error instanceof MnemailError && error.cause instanceof S3Refusal)) throw error;
        return [`${place}: the server does not say whether the bucket keeps versions of removed items`];
      }
    },
    close: async () => texts.clear(),
  };

  /** Makes one change if the text is still the expected one. */
  async function changeIf({ key, text, expected = null }: KeyChange): Promise<boolean> {
    const name = toName(key);
    let mayBeMade = false;
    return patiently(async () => {
      for (let race = 0; race < RACES; race += 1) {
        // What was just read serves as well, except where the server does not look at it again.
        const isFirst = race === 0 && !mayBeMade && isSafe && text !== null;
        const known = texts.known(name);
        const found = isFirst && (known?.text ?? null) === expected ? known : await texts.read(name);
        if ((found?.text ?? null) !== expected) {
          if (!mayBeMade) return false;
          // An attempt whose answer was lost may have been made.
          if ((found?.text ?? null) === text) return true;
          throw unknownOutcome(place);
        }
        if (text === null && !found) return true;
        const condition: S3Condition = found ? { "if-match": found.etag } : { "if-none-match": "*" };
        try {
          if (await texts.put(name, text, isSafe ? condition : undefined)) return true;
        } catch (error) {
          mayBeMade ||= isS3Away(error);
          throw error;
        }
      }
      throw new MnemailError("store", `${place}: others change the same items all the time`, "try again");
    }, "change");
  }
}

/** Opens rows in a bucket, as {@link openS3} its texts. */
export async function openS3Driver(
  config: S3Config,
  options: S3Options & { language?: SearchLanguage } = {},
): Promise<RowDriver> {
  return createKeyValueDriver(await openS3(config, options), options);
}

/** Whether a server refuses a change whose precondition does not hold, where another server may make it. */
async function keepsPreconditions(bucket: S3Bucket): Promise<boolean> {
  try {
    const isNew = await bucket.put(PROBE, PROBE_TEXT, { "if-none-match": "*" });
    if (isNew && (await bucket.put(PROBE, PROBE_TEXT, { "if-none-match": "*" }))) return false;
    return !(await bucket.put(PROBE, PROBE_TEXT, { "if-match": "0".repeat(32) }));
  } catch (error) {
    if (error instanceof S3Refusal && (error.status === 501 || error.code === "NotImplemented")) return false;
    throw error;
  }
}

/** The objects of a bucket as texts; what is known of each saves requests and is never taken for what is there. */
function createTexts(bucket: S3Bucket, isSafe: boolean) {
  const cache = new TextCache();
  let removesIf = isSafe;
  const read = async (name: string) => {
    const known = cache.get(name);
    const found = await bucket.get(name, known?.etag);
    if (found === "same") return known;
    if (found) cache.set(name, found);
    else cache.delete(name);
    return found;
  };
  return {
    read,
    known: (name: string) => cache.get(name),
    /** The text that a listing had as `etag`, or what has come since; undefined when it is gone. */
    async readAs(name: string, etag: string): Promise<string | undefined> {
      const known = cache.get(name);
      return known && known.etag === etag ? known.text : (await read(name))?.text;
    },
    /** False where the condition failed. */
    async put(name: string, text: string | null, condition?: S3Condition): Promise<boolean> {
      cache.delete(name);
      try {
        const put = await bucket.put(name, text, text === null && !removesIf ? undefined : condition);
        if (put && put.etag !== "" && text !== null) cache.set(name, { text, etag: put.etag });
        return put !== false;
      } catch (error) {
        // Removing under a condition is younger than putting.
        if (text !== null || !removesIf || !(error instanceof S3Refusal && error.status === 501)) throw error;
        removesIf = false;
        return (await bucket.put(name, null)) !== false;
      }
    },
    /** As {@link TextCache}. */
    begin: () => cache.begin(),
    clear: () => cache.clear(),
  };
}

/** The error for a conditional change of which nothing can be said. */
function unknownOutcome(place: string): MnemailError {
  const what = `${place}: the connection was lost during a change, and others have changed the same item since`;
  return new MnemailError("store", `${what}: it is not known whether it was made`, "look, and make it again if not");
}

/** Of a key, what URLs and servers would take for something else: `.` and `..` are no names, here nor there. */
function toName(key: string): string {
  return key.replace(/[.!]/g, (each) => (each === "." ? "!2E" : "!21"));
}

function toKey(name: string): string {
  return name.replace(/!2[E1]/g, (each) => (each === "!2E" ? "." : "!"));
}
