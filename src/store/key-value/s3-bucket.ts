import { createHash } from "node:crypto";
import { AwsClient } from "aws4fetch";
import { MnemailError } from "../../errors.ts";
import { checkS3, renderS3, type S3Config } from "../../store-config/s3-place.ts";
import { S3Refusal } from "./s3-errors.ts";
import { childText, parseXml } from "./s3-xml.ts";

/** One object, as a listing has it. `etag` changes with its text. */
export interface S3Entry {
  name: string;
  etag: string;
}

/** What a conditional change may depend on: nothing there, or this very text. */
export type S3Condition = { "if-none-match": "*" } | { "if-match": string };

/** A bucket's operations, each one request. Names are below the prefix. All throw S3Refusal, or what fetch throws. */
export interface S3Bucket {
  /** The bucket for people. */
  place: string;
  /** The whole name of an object. */
  nameOf(name: string): string;
  /** One page of what begins with a name, and how to go on. */
  list(beginning: string, after?: string, limit?: number): Promise<{ entries: S3Entry[]; next: string | undefined }>;
  /** undefined where nothing is; "same" where it still is what `etag` names. */
  get(name: string, etag?: string): Promise<{ text: string; etag: string } | "same" | undefined>;
  /** Puts a text, or removes with null; false where the condition failed. Returns the new text's `etag`. */
  put(name: string, text: string | null, condition?: S3Condition): Promise<{ etag: string } | false>;
  /** Whether the bucket keeps, or once kept, what is replaced and removed. */
  isVersioned(): Promise<boolean>;
}

const OBJECTS_PER_PAGE = 1_000;

/**
 * Names a bucket; no request is made yet. Each request gives up after `timeoutMs`.
 *
 * @throws MnemailError("config") for a configuration that cannot be meant, in one line without secrets.
 */
export function openBucket(config: S3Config, timeoutMs: number): S3Bucket {
  const { bucket, prefix, region, endpoint } = checkS3(config);
  const base = new URL(endpoint);
  // With a period, no certificate covers the host; capital letters and _ are none of a host's.
  if (config.pathStyle ?? (config.endpoint !== undefined || !/^[a-z0-9-]+$/.test(bucket)))
    base.pathname = `${base.pathname.replace(/\/$/, "")}/${bucket}`;
  else base.hostname = `${bucket}.${base.hostname}`;
  const client = new AwsClient({
    ...{ accessKeyId: config.accessKeyId, secretAccessKey: config.secretAccessKey, service: "s3", region },
    ...(config.sessionToken === undefined ? {} : { sessionToken: config.sessionToken }),
    retries: 0,
  });
  const before = prefix === "" ? "" : `${prefix}/`;
  const place = renderS3({ ...config, prefix });

  const send = async (
    method: "GET" | "PUT" | "DELETE",
    name: string | undefined,
    more: { query?: Record<string, string>; headers?: Record<string, string>; body?: string; accept: number[] },
  ) => {
    const path = name === undefined ? "" : `${before}${name}`;
    const query = Object.entries(more.query ?? {}).map((pair) => pair.map(encodeURIComponent).join("="));
    const url = `${base.href.replace(/\/$/, "")}/${encodePath(path)}${query.length > 0 ? `?${query.join("&")}` : ""}`;
    const signed = client.sign(url, {
      method,
      headers: {
        ...more.headers,
        // Signed with the rest, so that a text that was cut on its way is refused.
        "x-amz-content-sha256": createHash("sha256")
          .update(more.body ?? "")
          .digest("hex"),
        ...(more.body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(more.body === undefined ? {} : { body: more.body }),
      // No signature holds for another host.
      redirect: "manual",
      signal: AbortSignal.timeout(timeoutMs),
    });
    const request = await signed.catch(() => {
      // An error made here may repeat a header that could not be set, and so a secret.
      const hint = "correct the credentials, AWS_REGION and AWS_ENDPOINT_URL_S3";
      throw new MnemailError("config", `${place}: no request can be made with these settings`, hint);
    });
    const response = await fetch(request);
    // `text()` would take a byte order mark away.
    const text = Buffer.from(await response.arrayBuffer()).toString("utf8");
    if (!more.accept.includes(response.status)) throw new S3Refusal(response.status, text, response.headers);
    return { status: response.status, text, headers: response.headers };
  };
  const isMissing = (error: unknown) => error instanceof S3Refusal && error.code === "NoSuchKey";

  return {
    async isVersioned() {
      const { text } = await send("GET", undefined, { query: { versioning: "" }, accept: [200] });
      return childText(parseXml(text), "Status") !== undefined;
    },
    place,
    nameOf: (name) => `${before}${name}`,
    async list(beginning, after, limit = OBJECTS_PER_PAGE) {
      const query = {
        ...{ "list-type": "2", "max-keys": String(limit), prefix: `${before}${beginning}` },
        ...(after === undefined ? {} : { "continuation-token": after }),
      };
      const result = parseXml((await send("GET", undefined, { query, accept: [200] })).text);
      if (result.name !== "ListBucketResult") throw new SyntaxError("no listing");
      const entries = result.children
        .filter(({ name }) => name === "Contents")
        .map((element) => ({ name: childText(element, "Key") ?? "", etag: plainEtag(childText(element, "ETag")) }))
        // Some servers pass over the prefix that was asked for.
        .filter(({ name }) => name.startsWith(`${before}${beginning}`))
        .map(({ name, etag }) => ({ name: name.slice(before.length), etag }));
      const next = childText(result, "NextContinuationToken");
      const isCut = childText(result, "IsTruncated") === "true";
      // To go on as if that were all would lose what follows.
      if (isCut && !next) throw new SyntaxError("a listing that does not go on");
      return { entries, next: isCut ? next : undefined };
    },
    async get(name, etag) {
      try {
        const headers = etag === undefined ? {} : { "if-none-match": `"${etag}"` };
        const { status, text, headers: found } = await send("GET", name, { headers, accept: [200, 304] });
        if (status === 304) return "same";
        const tag = plainEtag(found.get("etag"));
        if (tag === "") throw new SyntaxError("an object without an ETag");
        return { text, etag: tag };
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    },
    async put(name, text, condition) {
      const headers: Record<string, string> = { ...condition };
      if (headers["if-match"] !== undefined) headers["if-match"] = `"${headers["if-match"]}"`;
      try {
        const body = text === null ? {} : { body: text };
        const { headers: found } = await send(text === null ? "DELETE" : "PUT", name, {
          ...{ headers, accept: [200, 204], ...body },
        });
        return { etag: plainEtag(found.get("etag")) };
      } catch (error) {
        if (!(error instanceof S3Refusal)) throw error;
        // Removing what is not there is no failure, unless it was expected to be there.
        if (isMissing(error)) return condition === undefined && text === null ? { etag: "" } : false;
        if (error.status === 412 || error.code === "ConditionalRequestConflict") return false;
        throw error;
      }
    },
  };
}

function plainEtag(etag: string | null | undefined): string {
  return (etag ?? "").replace(/^W\//, "").replace(/^"|"$/g, "");
}

/** A path whose every segment stands for itself: a `+` would be signed as a space. */
function encodePath(path: string): string {
  return path.split("/").map(encodeURIComponent).join("/");
}
