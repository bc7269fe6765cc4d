import { z } from "zod";
import { MnemailError } from "../../errors.ts";
import { type CallKind, outcomeOf } from "./patience.ts";
import { childText, parseXml } from "./s3-xml.ts";

const AWAY_CODES = new Set(
  "ECONNREFUSED ECONNRESET EPIPE ETIMEDOUT EHOSTUNREACH ENETUNREACH EAI_AGAIN UND_ERR_SOCKET UND_ERR_CONNECT_TIMEOUT UND_ERR_HEADERS_TIMEOUT UND_ERR_BODY_TIMEOUT".split(
    " ",
  ),
);
const AGAIN_STATUS = new Set([408, 429, 500, 502, 503, 504]);
const LONGEST_DETAIL = 200;

/** An answer that says no. */
export class S3Refusal extends Error {
  readonly status: number;
  /** S3's name of the error, such as `NoSuchBucket`; empty where the answer was none of S3's. */
  readonly code: string;
  /** Where the server says the bucket is. */
  readonly region: string | undefined;
  /** The server's time. */
  readonly date: Date;

  constructor(status: number, body: string, headers: Headers) {
    const { code, message, region } = readError(body);
    super(message);
    this.status = status;
    this.code = code;
    this.region = headers.get("x-amz-bucket-region") ?? region;
    this.date = new Date(headers.get("date") ?? Number.NaN);
  }
}

function readError(body: string): { code: string; message: string; region: string | undefined } {
  try {
    const error = parseXml(body);
    if (error.name !== "Error") return { code: "", message: "", region: undefined };
    // Anything may answer, and its words go to a terminal.
    const plain = (name: string) =>
      childText(error, name)
        ?.replace(/[^\x20-\x7E]+/g, " ")
        .slice(0, LONGEST_DETAIL);
    return { code: plain("Code") ?? "", message: plain("Message") ?? "", region: plain("Region") };
  } catch {
    return { code: "", message: "", region: undefined };
  }
}

const failureSchema = z.object({
  name: z.string().catch(""),
  message: z.string().catch(""),
  code: z.string().catch(""),
  cause: z.unknown().optional(),
  errors: z.array(z.unknown()).catch([]),
});

/** What is known of a request that had no answer: `fetch` hides it in its cause. */
function failureOf(error: unknown): { name: string; code: string; text: string } {
  const { name, message, code, cause, errors } = failureSchema.parse(Object(error));
  const inner = cause ?? errors[0];
  if (inner !== undefined && code === "") return { ...failureOf(inner), name };
  return { name, code, text: message.replace(/\s+/g, " ").trim() };
}

/** Whether the server is away or overloaded, or the answer broke off, so that the same may work in a moment. */
export function isS3Away(error: unknown): boolean {
  if (error instanceof MnemailError) return false;
  if (error instanceof S3Refusal)
    return AGAIN_STATUS.has(error.status) || /^(RequestTimeout|SlowDown|OperationAborted)$/.test(error.code);
  const { name, code, text } = failureOf(error);
  return name === "TimeoutError" || AWAY_CODES.has(code) || /^(terminated|other side closed)$/.test(text);
}

const CREDENTIALS = "correct AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN";
const ELSEWHERE = "PermanentRedirect TemporaryRedirect Redirect AuthorizationHeaderMalformed IncorrectEndpoint";

/** What a refusal's name means to people, and what they can do. */
const REFUSALS: Record<string, [what: string, hint: string]> = {
  NoSuchBucket: ["there is no such bucket", "create it, or correct its name, AWS_REGION or AWS_ENDPOINT_URL_S3"],
  InvalidBucketName: ["no bucket has such a name", "correct it"],
  InvalidAccessKeyId: ["the access key is not known there", CREDENTIALS],
  SignatureDoesNotMatch: ["the secret key was refused", CREDENTIALS],
  ExpiredToken: ["the session token has expired", "get new credentials"],
  InvalidToken: ["the session token was refused", CREDENTIALS],
  AccessDenied: [
    "access denied",
    "allow s3:ListBucket on the bucket, and s3:GetObject, s3:PutObject and s3:DeleteObject on its objects",
  ],
  SlowDown: ["the server asks for fewer requests", "try again later"],
  QuotaExceeded: ["the bucket is full", "free some space; the change was not made"],
  XMinioStorageFull: ["the disk of the server is full", "free some space; the change was not made"],
};

/** One line for what went wrong with a bucket; `place` names it, and no secret is in it. */
export function s3Error(place: string, error: unknown, often = "", kind?: CallKind): MnemailError {
  if (error instanceof MnemailError) return error;
  const because = (what: string, hint?: string) =>
    new MnemailError("store", `${place}: ${what}`, hint, { cause: error });
  if (error instanceof S3Refusal) {
    const { status, code, message, region } = error;
    const known = REFUSALS[code];
    const outcome = isS3Away(error) ? outcomeOf(kind) : "";
    if (known) return because(`${known[0]}${often}${outcome}`, known[1]);
    if (code === "RequestTimeTooSkewed") {
      const minutes = Math.round(Math.abs(Date.now() - error.date.getTime()) / 60_000);
      const much = Number.isNaN(minutes) ? "off" : `${minutes} minutes off`;
      return because(`the clock of this machine is ${much}`, "set it; signatures hold for some minutes only");
    }
    if ((status >= 300 && status < 400) || ELSEWHERE.split(" ").includes(code)) {
      return because(
        `the bucket is in another region${region === undefined ? "" : `, ${region}`}`,
        region === undefined ? "correct AWS_REGION or AWS_ENDPOINT_URL_S3" : `set AWS_REGION=${region}`,
      );
    }
    if (isS3Away(error)) {
      return because(`the server answered ${status}${code && ` ${code}`}${often}${outcome}`, "try again later");
    }
    if (code === "") return because(`what answers there is no S3 (${status})`, "correct AWS_ENDPOINT_URL_S3");
    return because(`the server answered ${status} ${code} (${message})`, "the change was not made");
  }
  const { name, code, text } = failureOf(error);
  if (code === "ENOTFOUND") return because("the host is not known", "correct AWS_ENDPOINT_URL_S3 or AWS_REGION");
  if (isS3Away(error)) {
    const what = name === "TimeoutError" ? "the server does not answer" : "the server cannot be reached";
    return because(`${what}${often}${outcomeOf(kind)}`, "start it, or correct AWS_ENDPOINT_URL_S3");
  }
  if (/self.signed|certificate|altname|SSL|TLS|packet length/i.test(`${code} ${text}`)) {
    return because(
      `no TLS connection (${text})`,
      "correct https:// or http://; name its own authority in NODE_EXTRA_CA_CERTS",
    );
  }
  if (error instanceof SyntaxError) return because("what answers there is no S3", "correct AWS_ENDPOINT_URL_S3");
  return because(`${text || String(error)}${outcomeOf(kind)}`);
}
