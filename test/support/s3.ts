import { createHash, createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";

/** What the next request that fits meets instead of its answer. */
export interface S3Fault {
  method?: "GET" | "PUT" | "DELETE";
  /** Only requests whose path and query have this in them. */
  about?: string;
  /** An error of S3 by its status and code; or a connection that ends before or after the request was carried out. */
  answer: { status: number; code: string; region?: string } | "cut before" | "cut after" | "never";
  /** What happens first. */
  meanwhile?: () => void;
}

/** A server on this machine that speaks S3's documented protocol for one bucket, and checks what it is sent. */
export interface LoopbackS3 {
  endpoint: string;
  bucket: string;
  region: string;
  accessKeyId: string;
  secretAccessKey: string;
  /** Asked for where it is set. */
  sessionToken: string | undefined;
  /** The objects, by their full names. */
  objects: Map<string, string>;
  /** Every request: method, path and query. */
  requests: string[];
  /** The most keys of a page; 1,000 on S3. */
  pageSize: number;
  /** Whether If-Match and If-None-Match are kept to, passed over, or refused as not implemented. */
  preconditions: "kept" | "passed over" | "refused";
  /** Whether a listing has everything, whatever it was to begin with. */
  passesOverPrefix: boolean;
  /** What the bucket says of versions, such as `Enabled`. */
  versioning: string | undefined;
  /** How far its clock is ahead of ours, in milliseconds. */
  clockAheadMs: number;
  faults: S3Fault[];
  close(): Promise<void>;
}

const SKEW_MS = 15 * 60_000;

/**
 * Starts a bucket in memory: ListObjectsV2 with pages, GET, PUT and DELETE of objects, ETags and preconditions,
 * signatures of version 4 checked by the documentation's steps, errors as XML. Path style, and the bucket in the host.
 */
export async function startLoopbackS3(): Promise<LoopbackS3> {
  const server = createServer();
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const s3: LoopbackS3 = {
    endpoint: `http://127.0.0.1:${port}`,
    bucket: "memory-of-tests",
    region: "eu-central-1",
    accessKeyId: `AKIA${randomBytes(6).toString("hex").toUpperCase()}`,
    secretAccessKey: randomBytes(24).toString("base64"),
    sessionToken: undefined,
    objects: new Map(),
    requests: [],
    pageSize: 1_000,
    preconditions: "kept",
    passesOverPrefix: false,
    versioning: undefined,
    clockAheadMs: 0,
    faults: [],
    close: () => close(server),
  };
  server.on("request", (request, response) => {
    void answer(s3, request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error));
    });
  });
  return s3;
}

async function close(server: Server): Promise<void> {
  server.closeAllConnections();
  server.close();
  await once(server, "close");
}

class Refusal extends Error {
  readonly status: number;
  readonly code: string;
  readonly region: string | undefined;

  constructor(status: number, code: string, region?: string) {
    super(code);
    this.status = status;
    this.code = code;
    this.region = region;
  }
}

interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

async function answer(s3: LoopbackS3, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  const { method = "GET", url = "/" } = request;
  s3.requests.push(`${method} ${url}`);
  const at = s3.faults.findIndex((each) => (each.method ?? method) === method && url.includes(each.about ?? ""));
  const [fault] = at < 0 ? [] : s3.faults.splice(at, 1);
  fault?.meanwhile?.();
  if (fault?.answer === "never") return;
  if (fault?.answer === "cut before") return void request.socket.destroy();
  let result: Answer;
  try {
    if (typeof fault?.answer === "object")
      throw new Refusal(fault.answer.status, fault.answer.code, fault.answer.region);
    checkSignature(s3, request, body);
    result = carryOut(s3, request, body.toString("utf8"));
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const region = error.region === undefined ? "" : `<Region>${error.region}</Region>`;
    result = {
      status: error.status,
      body: `<Error><Code>${error.code}</Code><Message>In &quot;words&quot;: ${error.code}</Message>${region}<RequestId>1</RequestId></Error>`,
    };
  }
  if (fault?.answer === "cut after") return void request.socket.destroy();
  response.writeHead(result.status, {
    server: "Loopback",
    date: new Date(Date.now() + s3.clockAheadMs).toUTCString(),
    ...(result.body === undefined ? {} : { "content-type": "application/xml" }),
    ...result.headers,
  });
  const isXml = result.body?.startsWith("<") && !result.headers?.["etag"];
  response.end(isXml ? `<?xml version="1.0" encoding="UTF-8"?>\n${result.body}` : result.body);
}

function carryOut(s3: LoopbackS3, request: IncomingMessage, body: string): Answer {
  const { host = "", "if-match": ifMatch, "if-none-match": ifNoneMatch } = request.headers;
  const { pathname, searchParams } = new URL(request.url ?? "/", "http://host");
  const inHost = host.startsWith(`${s3.bucket}.`);
  const [, bucket = "", path = ""] = inHost
    ? ["", s3.bucket, pathname.slice(1)]
    : (/^\/([^/]*)\/?(.*)$/s.exec(pathname) ?? []);
  if (bucket !== s3.bucket) throw new Refusal(404, "NoSuchBucket");
  const name = decodeURIComponent(path);
  const stored = s3.objects.get(name);
  if (request.method === "GET" && name === "" && searchParams.has("versioning")) {
    const status = s3.versioning === undefined ? "" : `<Status>${s3.versioning}</Status>`;
    return { status: 200, body: `<VersioningConfiguration>${status}</VersioningConfiguration>` };
  }
  if (request.method === "GET" && name === "") return list(s3, searchParams);
  if (request.method === "GET") {
    if (stored === undefined) throw new Refusal(404, "NoSuchKey");
    if (ifNoneMatch === etagOf(stored)) return { status: 304, headers: { etag: etagOf(stored) } };
    return { status: 200, headers: { etag: etagOf(stored), "content-type": "application/json" }, body: stored };
  }
  if (Buffer.byteLength(name) > 1_024) throw new Refusal(400, "KeyTooLongError");
  if (s3.preconditions === "refused" && (ifMatch ?? ifNoneMatch)) throw new Refusal(501, "NotImplemented");
  if (s3.preconditions === "kept") {
    if (ifNoneMatch !== undefined && ifNoneMatch !== "*") throw new Refusal(501, "NotImplemented");
    if (ifNoneMatch === "*" && stored !== undefined) throw new Refusal(412, "PreconditionFailed");
    if (ifMatch !== undefined && stored === undefined) throw new Refusal(404, "NoSuchKey");
    if (ifMatch !== undefined && ifMatch !== etagOf(stored ?? "")) throw new Refusal(412, "PreconditionFailed");
  }
  if (request.method === "PUT") {
    s3.objects.set(name, body);
    return { status: 200, headers: { etag: etagOf(body) } };
  }
  if (request.method !== "DELETE") throw new Refusal(405, "MethodNotAllowed");
  s3.objects.delete(name);
  return { status: 204 };
}

function list(s3: LoopbackS3, query: URLSearchParams): Answer {
  if (query.get("list-type") !== "2") throw new Refusal(501, "NotImplemented");
  const token = query.get("continuation-token");
  const after = token === null ? undefined : Buffer.from(token, "base64").toString("utf8");
  const prefix = s3.passesOverPrefix ? "" : (query.get("prefix") ?? "");
  const names = [...s3.objects.keys()]
    .filter(
      (name) =>
        name.startsWith(prefix) && (after === undefined || Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0),
    )
    .sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const page = names.slice(0, Math.min(Number(query.get("max-keys") ?? 1_000), s3.pageSize));
  const isCut = page.length < names.length;
  const contents = page.map((name) => {
    const text = s3.objects.get(name) ?? "";
    return `<Contents><Key>${escapeXml(name)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>${escapeXml(etagOf(text))}</ETag><Size>${Buffer.byteLength(text)}</Size><StorageClass>STANDARD</StorageClass></Contents>`;
  });
  const next = `<NextContinuationToken>${Buffer.from(page.at(-1) ?? "").toString("base64")}</NextContinuationToken>`;
  return {
    status: 200,
    body: `<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${s3.bucket}</Name><Prefix>${escapeXml(prefix)}</Prefix><KeyCount>${page.length}</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>${isCut}</IsTruncated>${contents.join("")}${isCut ? next : ""}</ListBucketResult>`,
  };
}

/** Signature Version 4 by the steps of Amazon's documentation. */
function checkSignature(s3: LoopbackS3, request: IncomingMessage, body: Buffer): void {
  const { headers, method = "" } = request;
  const [, accessKey, day, region, signed = "", signature] =
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, SignedHeaders=([^,]+), Signature=([0-9a-f]{64})$/.exec(
      headers.authorization ?? "",
    ) ?? [];
  if (accessKey === undefined) throw new Refusal(403, "AccessDenied");
  if (accessKey !== s3.accessKeyId) throw new Refusal(403, "InvalidAccessKeyId");
  if (region !== s3.region) throw new Refusal(400, "AuthorizationHeaderMalformed", s3.region);
  const time = String(headers["x-amz-date"]);
  const [, year, month, date, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(time) ?? [];
  const sentAt = Date.parse(`${year}-${month}-${date}T${hour}:${minute}:${second}Z`);
  if (!(Math.abs(sentAt - Date.now() - s3.clockAheadMs) < SKEW_MS)) throw new Refusal(403, "RequestTimeTooSkewed");
  if (headers["x-amz-security-token"] !== s3.sessionToken) throw new Refusal(400, "InvalidToken");
  const names = signed.split(";");
  const mustBeSigned = Object.keys(headers).filter((name) => name === "host" || name.startsWith("x-amz-"));
  if (!mustBeSigned.every((name) => names.includes(name))) throw new Refusal(403, "AccessDenied");
  const payload = String(headers["x-amz-content-sha256"]);
  if (payload !== createHash("sha256").update(body).digest("hex")) throw new Refusal(400, "XAmzContentSHA256Mismatch");
  const [path = "", query = ""] = (request.url ?? "").split("?");
  const pairs =
    query === "" ? [] : query.split("&").map((pair) => pair.split("=").map((each) => encode(decodeURIComponent(each))));
  const canonical = [
    method,
    path
      .split("/")
      .map((segment) => encode(decodeURIComponent(segment)))
      .join("/"),
    pairs
      .map((pair) => pair.join("="))
      .sort()
      .join("&"),
    ...names.map((name) => `${name}:${String(headers[name]).trim()}`),
    "",
    signed,
    payload,
  ].join("\n");
  const hash = createHash("sha256").update(canonical).digest("hex");
  const toSign = `AWS4-HMAC-SHA256\n${time}\n${day}/${region}/s3/aws4_request\n${hash}`;
  const key = [day ?? "", region, "s3", "aws4_request"].reduce<Buffer>(
    (secret, part) => createHmac("sha256", secret).update(part).digest(),
    Buffer.from(`AWS4${s3.secretAccessKey}`),
  );
  if (createHmac("sha256", key).update(toSign).digest("hex") !== signature)
    throw new Refusal(403, "SignatureDoesNotMatch");
}

function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (each) => `%${each.charCodeAt(0).toString(16).toUpperCase()}`);
}

function escapeXml(text: string): string {
  return text.replace(/[&<>"]/g, (each) => `&#${each.charCodeAt(0)};`);
}

function etagOf(text: string): string {
  return `"${createHash("md5").update(text).digest("hex")}"`;
}
