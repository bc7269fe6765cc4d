import { MnemailError } from "../errors.ts";

/** A place in a bucket, and who asks. */
export interface S3Config {
  bucket: string;
  /** What all our objects begin with, such as `team/memory`; empty for the whole bucket. */
  prefix: string;
  /** The server's URL; AWS's own of the region by default. */
  endpoint?: string;
  /** `us-east-1` by default, which compatible servers take for any. */
  region?: string;
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string;
  /** Whether the bucket stands in the path rather than in the host: by default where an endpoint is named. */
  pathStyle?: boolean;
}

const LONGEST_PREFIX = 120;

/** Reads `s3://BUCKET[/PREFIX]`; undefined for anything else. Neither is checked: {@link checkS3} does. */
export function parseS3Url(url: string): Pick<S3Config, "bucket" | "prefix"> | undefined {
  const [, bucket, prefix = ""] = /^s3:\/\/([^/?#@]+)(?:\/([^?#]*))?$/.exec(url) ?? [];
  return bucket === undefined ? undefined : { bucket, prefix: trimPrefix(prefix) };
}

/**
 * What is meant by a configuration, its prefix without slashes around it and its server named.
 *
 * @throws MnemailError("config") for one that cannot be meant, in one line without secrets.
 */
export function checkS3(config: S3Config): S3Config & { endpoint: string; region: string } {
  const { bucket, region = "us-east-1" } = config;
  const prefix = trimPrefix(config.prefix);
  const refuse = (what: string, hint: string) => new MnemailError("config", `s3://${bucket}/${prefix}: ${what}`, hint);
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]$/.test(bucket)) {
    throw new MnemailError("config", "s3: no bucket has such a name", "allowed: s3://BUCKET/PREFIX");
  }
  if (prefix.length > LONGEST_PREFIX || !/^([\w=@+,~-][\w.=@+,~-]*(\/|$))*$/.test(prefix)) {
    const allowed = "up to 120 letters, digits and _ . = @ + , ~ - between slashes, no . at a beginning";
    throw refuse("no usable prefix", allowed);
  }
  if (!/^[\w-]{1,40}$/.test(region)) throw refuse("no usable region", "correct AWS_REGION");
  const endpoint = config.endpoint ?? `https://s3.${region}.amazonaws.com${region.startsWith("cn-") ? ".cn" : ""}`;
  if (!/^https?:\/\/[^@?#]+$/.test(endpoint) || !URL.canParse(endpoint)) {
    throw refuse("no usable endpoint", "AWS_ENDPOINT_URL_S3 is as https://HOST, without user or query");
  }
  if (config.accessKeyId === "" || config.secretAccessKey === "") {
    throw refuse("no credentials", "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
  }
  // They stand in headers, and what cannot is printed by whoever says so.
  const secrets = [config.accessKeyId, config.secretAccessKey, config.sessionToken ?? ""];
  if (!secrets.every((each) => /^[\x21-\x7E]*$/.test(each))) {
    const names = "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN";
    throw refuse("credentials with a space, a line break or another character that none has", `correct ${names}`);
  }
  return { ...config, prefix, endpoint, region };
}

/** A place in a bucket for people, with its server where that is not AWS's own. */
export function renderS3({ bucket, prefix, endpoint }: Pick<S3Config, "bucket" | "prefix" | "endpoint">): string {
  const server = endpoint !== undefined && URL.canParse(endpoint) ? ` at ${new URL(endpoint).host}` : "";
  return `s3://${bucket}/${prefix}${server}`;
}

function trimPrefix(prefix: string): string {
  return prefix.replace(/^\/+|\/+$/g, "");
}
