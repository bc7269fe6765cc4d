import { once } from "node:events";
import { createServer } from "node:http";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { renderError } from "../../../src/errors.ts";
import { createKeyValueDriver } from "../../../src/store/key-value/key-value-driver.ts";
import { openS3, type S3Options } from "../../../src/store/key-value/s3.ts";
import { childText, parseXml } from "../../../src/store/key-value/s3-xml.ts";
import { TextCache } from "../../../src/store/key-value/text-cache.ts";
import { MnemailStore } from "../../../src/store/mnemail-store.ts";
import type { S3Config } from "../../../src/store-config/s3-place.ts";
import { type LoopbackS3, type S3Fault, startLoopbackS3 } from "../../support/s3.ts";
import { describePlace } from "./place-clauses.ts";

describe("a bucket of S3 as a place", () => {
  let s3: LoopbackS3;
  beforeEach(async () => {
    s3 = await startLoopbackS3();
  });
  afterEach(() => s3.close());
  const open = (change: Partial<S3Config> = {}, options: S3Options = {}) => {
    const { bucket, endpoint, region, accessKeyId, secretAccessKey } = s3;
    return openS3(
      { bucket, endpoint, region, accessKeyId, secretAccessKey, prefix: "team/memory", ...change },
      options,
    );
  };
  /** What a promise is rejected with, as people see it. */
  const lineOf = (promise: Promise<unknown>): Promise<string> =>
    promise.then((result) => `no error: ${JSON.stringify(result)}`, renderError);
  const fail = (answer: S3Fault["answer"], more: Partial<S3Fault> = {}) => s3.faults.push({ answer, ...more });
  const objectsBelow = (prefix: string) => [...s3.objects.keys()].filter((name) => name.startsWith(prefix)).sort();
  const since = (count: number) =>
    s3.requests.slice(count).map((request) => request.replace(/\?.*/, "").split("/").at(-1));

  describePlace(() => {
    s3.pageSize = 50;
    return open();
  }, 123);

  test("touches objects below its prefix only, and sees no others", async () => {
    s3.objects.set("r/a", "of another").set("team/memory2/r/a", "of another");
    const ours = await open({ prefix: "/team/memory/" });
    const whole = await open({ prefix: "" });
    await ours.write([{ key: "r/a", text: "ours" }]);
    expect(await ours.list("")).toEqual([{ key: "r/a", text: "ours" }]);
    expect(await whole.read(["r/a"])).toEqual(["of another"]);
    await ours.write([{ key: "r/a", text: null }]);
    expect(objectsBelow("")).toEqual(["probe", "r/a", "team/memory/probe", "team/memory2/r/a"]);
  });

  test("of a server that passes over what a listing is to begin with, sees and removes no more", async () => {
    s3.passesOverPrefix = true;
    s3.objects.set("other/r/a/=k", "of another");
    const store = await MnemailStore.open(createKeyValueDriver(await open()));
    for (const user of ["a", "b"]) await store.put(["m", user], "k", { user }, false);
    const place = await open();
    expect(await place.keys("r/m/a/")).toEqual(["r/m/a/=k"]);
    expect((await place.list("r/m/b/")).map(({ key }) => key)).toEqual(["r/m/b/=k"]);
    expect(await store.drop([["m", "a"]])).toBe(1);
    expect((await store.get(["m", "b"], "k"))?.value).toEqual({ user: "b" });
  });

  test("names objects so that no server takes them for a path of its own", async () => {
    const place = await open();
    await place.write([
      { key: "r/../a/./b", text: "1" },
      { key: "r/=+%2F!,@~", text: "2" },
    ]);
    expect(objectsBelow("team/memory/r/")).toEqual(["team/memory/r/!2E!2E/a/!2E/b", "team/memory/r/=+%2F!21,@~"]);
    expect((await place.keys("")).sort()).toEqual(["r/../a/./b", "r/=+%2F!,@~"]);
  });

  test("fetches again only what a listing has with another ETag", async () => {
    const place = await open();
    const other = await open();
    await place.write(["a", "b", "c"].map((key) => ({ key, text: key })));
    await other.list("");
    await place.write([{ key: "b", text: "changed" }]);
    const before = s3.requests.length;
    expect((await other.list("")).map(({ text }) => text).sort()).toEqual(["a", "c", "changed"]);
    expect(since(before)).toEqual(["memory-of-tests", "b"].map((name) => (name === "b" ? "b" : "")));
  });

  test("asks with session tokens, and in any region", async () => {
    s3.sessionToken = "a+session/token=";
    s3.region = "auto";
    const place = await open({ sessionToken: s3.sessionToken });
    expect(await place.write([{ key: "a", text: "1", expected: null }])).toBe(true);
    expect(await lineOf(open({ sessionToken: "another" }))).toMatch(/: the session token was refused \(correct AWS_/);
  });

  test("of two that change the same at once, the later is told, and another's text is never removed", async () => {
    const [one, other] = [await open(), await open()];
    await one.write([{ key: "a", text: "1" }]);
    await one.read(["a"]);
    fail("cut before", { method: "PUT", meanwhile: () => void s3.objects.set("team/memory/a", "other's") });
    expect(await one.write([{ key: "a", text: "2", expected: "1" }]).catch(renderError)).not.toBe(true);
    expect(await other.read(["a"])).toEqual(["other's"]);
    expect(await other.write([{ key: "a", text: null, expected: "1" }])).toBe(false);
    expect(s3.objects.get("team/memory/a")).toBe("other's");
  });

  describe("an answer that is lost", () => {
    test("after a conditional change was made, it is said to be made, and is made once", async () => {
      const place = await open();
      fail("cut after", { method: "PUT" });
      expect(await place.write([{ key: "a", text: "1", expected: null }])).toBe(true);
      fail("cut after", { method: "PUT" });
      expect(await place.write([{ key: "a", text: "2", expected: "1" }])).toBe(true);
      fail("cut after", { method: "DELETE" });
      expect(await place.write([{ key: "a", text: null, expected: "2" }])).toBe(true);
      expect(await place.keys("")).toEqual([]);
    });

    test("before it was made, it is made again", async () => {
      const place = await open();
      for (const answer of [
        "cut before",
        { status: 500, code: "InternalError" },
        { status: 503, code: "SlowDown" },
      ] as const)
        fail(answer, { method: "PUT" });
      expect(await place.write([{ key: "a", text: "1", expected: null }])).toBe(true);
      expect(await place.read(["a"])).toEqual(["1"]);
    });

    test("after which another writes: it is not said to have failed", async () => {
      const place = await open();
      fail("cut after", { method: "PUT" });
      const meanwhile = () => void s3.objects.set("team/memory/a", "other's");
      fail({ status: 503, code: "SlowDown" }, { method: "GET", meanwhile });
      expect(await lineOf(place.write([{ key: "a", text: "1", expected: null }]))).toMatch(
        /: the connection was lost during a change, and others .*: it is not known whether it was made \(look, /,
      );
      expect(s3.objects.get("team/memory/a")).toBe("other's");
    });
  });

  test("a conflict of two requests (409) is looked at again", async () => {
    const place = await open();
    fail({ status: 409, code: "ConditionalRequestConflict" }, { method: "PUT" });
    expect(await place.write([{ key: "a", text: "1", expected: null }])).toBe(true);
  });

  test.each(["passed over", "refused"] as const)(
    "a server by which preconditions are %s is named, and still compared with",
    async (preconditions) => {
      s3.preconditions = preconditions;
      const warnings: string[] = [];
      const place = await open({}, { warn: (line) => warnings.push(line) });
      expect(warnings).toEqual([
        expect.stringMatching(/^s3:\/\/memory-of-tests\/team\/memory at \S+: the server passes over If-/),
      ]);
      expect(await place.problems?.()).toMatchObject([
        { problem: expect.stringMatching(/^the server passes over If-/) },
      ]);
      expect(await place.write([{ key: "a", text: "1", expected: null }])).toBe(true);
      expect(await place.write([{ key: "a", text: "2", expected: null }])).toBe(false);
      expect(await place.write([{ key: "a", text: null, expected: "2" }])).toBe(false);
      expect(await place.write([{ key: "a", text: null, expected: "1" }])).toBe(true);
    },
  );

  test("a server that keeps them has no problem, whether its probe is new or not", async () => {
    for (let i = 0; i < 2; i += 1) expect(await (await open()).problems?.()).toEqual([]);
    expect(await (await open()).keys("")).toEqual([]);
  });

  test("tells when the bucket keeps versions of what was removed, or when that is not known", async () => {
    const place = await open();
    expect(await place.vacuum?.()).toEqual([]);
    s3.versioning = "Suspended";
    expect(await place.vacuum?.()).toEqual([
      expect.stringMatching(/^s3:.*: the bucket keeps versions, of removed items/),
    ]);
    fail({ status: 403, code: "AccessDenied" }, { about: "versioning" });
    expect(await place.vacuum?.()).toEqual([expect.stringMatching(/^s3:.*: the server does not say whether/)]);
    fail({ status: 501, code: "NotImplemented" }, { about: "versioning" });
    expect(await place.vacuum?.()).toHaveLength(1);
  });

  test("where only removing has no preconditions, what is removed is compared first", async () => {
    const place = await open();
    await place.write([{ key: "a", text: "1" }]);
    fail({ status: 501, code: "NotImplemented" }, { method: "DELETE" });
    expect(await place.write([{ key: "a", text: null, expected: "1" }])).toBe(true);
    expect(await place.keys("")).toEqual([]);
  });

  describe("in one line, without secrets, says", () => {
    const says = async (said: string, expected: RegExp) => {
      expect(said).toMatch(/^s3:[^\n]+ \([^\n]+\)$/);
      expect(said).toMatch(expected);
      expect(said).not.toContain(s3.secretAccessKey);
    };

    test("another clock than the server's, and by how much", async () => {
      s3.clockAheadMs = 3_600_000;
      await says(await lineOf(open()), /: the clock of this machine is 60 minutes off \(set it; /);
    });

    test.each<[string, Partial<S3Config>, RegExp]>([
      ["an unknown access key", { accessKeyId: "AKIAWRONG" }, /: the access key is not known there \(correct AWS_ACC/],
      ["a wrong secret key", { secretAccessKey: "wrong" }, /: the secret key was refused \(correct AWS_ACCESS_KEY_ID/],
      ["no credentials", { accessKeyId: "" }, /: no credentials \(set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\)$/],
      ["a session token with a line break", { sessionToken: "to.ken\nline" }, /^(?!.*to.ken).*: credentials with a/],
      ["an access key with a letter of no header", { accessKeyId: "AKIA€" }, /^(?!.*AKIA).*: credentials with a space/],
      [
        "a bucket that is not there",
        { bucket: "another-one" },
        /^s3:\/\/another-one\/.*: there is no such bucket \(cr/,
      ],
      [
        "another region",
        { region: "us-east-1" },
        /: the bucket is in another region, eu-central-1 \(set AWS_REGION=eu-c/,
      ],
      ["a bucket that no bucket is named", { bucket: "a/b@evil.example" }, /^s3: no bucket has such a name/],
      ["a prefix that leaves its place", { prefix: "a/../b" }, /: no usable prefix \(/],
      ["a region that is none", { region: "eu.evil.example/" }, /: no usable region \(correct AWS_REGION\)/],
      ["an endpoint with a user", { endpoint: "http://user:pw@host" }, /: no usable endpoint \(/],
      ["an endpoint that is none", { endpoint: "localhost" }, /: no usable endpoint \(/],
      ["TLS that the server does not speak", { endpoint: "https" }, /: (no TLS connection|the server cannot be re)/],
      ["a host that nobody knows", { endpoint: "http://no-such-host.invalid" }, /host is not known|cannot be reached/],
    ])("%s", async (_, change, expected) => {
      const endpoint = change.endpoint === "https" ? s3.endpoint.replace("http:", "https:") : change.endpoint;
      const config = endpoint === undefined ? change : { ...change, endpoint };
      await says(await lineOf(open(config, { retryMs: 100 })), expected);
    });

    test("a server that is gone", async () => {
      const place = await open({}, { retryMs: 100 });
      await s3.close();
      const [, read] = /: the server cannot be reached(.*) \(start/.exec(await lineOf(place.keys(""))) ?? [];
      expect(read).not.toContain("change");
      await says(
        await lineOf(place.write([{ key: "a", text: "1" }])),
        /: the server cannot be reached.*; the change under way may have been made or not \(start it, or correct AWS_ENDPOINT_URL_S3\)$/,
      );
      s3 = await startLoopbackS3();
    });

    test.each<[S3Fault["answer"], RegExp]>([
      [
        { status: 403, code: "AccessDenied" },
        /: access denied \(allow s3:ListBucket on the bucket, and s3:GetObject, /,
      ],
      [{ status: 400, code: "ExpiredToken" }, /: the session token has expired \(get new credentials\)$/],
      [{ status: 301, code: "PermanentRedirect" }, /: the bucket is in another region \(correct AWS_REGION or /],
      [
        { status: 507, code: "XMinioStorageFull" },
        /: the disk of the server is full \(free some space; the change was/,
      ],
      [
        { status: 400, code: "SomethingNew" },
        /: the server answered 400 SomethingNew \(In "words": SomethingNew\) \(the/,
      ],
    ])("what the server refuses: %j", async (answer, expected) => {
      const place = await open();
      fail(answer, { method: "PUT" });
      await says(await lineOf(place.write([{ key: "a", text: "1" }])), expected);
      expect(await place.read(["a"])).toEqual([null]);
    });

    test("what stays overloaded, or silent, for longer than it is waited for; and works again later", async () => {
      const place = await open({}, { retryMs: 200, timeoutMs: 100 });
      for (let i = 0; i < 10; i += 1) fail({ status: 503, code: "SlowDown" });
      await says(await lineOf(place.read(["a"])), /: the server asks for fewer requests \(tried \d times in .* s\) \(/);
      s3.faults = [];
      await expect.poll(() => lineOf(place.read(["a"]))).toBe("no error: [null]");
      for (let i = 0; i < 10; i += 1) fail("never");
      await says(await lineOf(place.read(["a"])), /: the server does not answer/);
    });

    test.each(["<html><body>Not found</body></html>", "", "<Error><Code>&evil;</Code></Error>", '{"error":1}'])(
      "something that is no S3: %j",
      async (body) => {
        for (const status of [200, 404]) {
          const other = createServer((_, response) => response.writeHead(status).end(body));
          await once(other.listen(0, "127.0.0.1"), "listening");
          const address = other.address();
          const port = typeof address === "object" && address ? address.port : 0;
          await says(await lineOf(open({ endpoint: `http://127.0.0.1:${port}` })), /: what answers there is no S3/);
          other.closeAllConnections();
          other.close();
        }
      },
    );
  });
});

describe("XML of S3", () => {
  test("is read with its entities, namespaces and empty elements", () => {
    const xml = `\uFEFF<?xml version="1.0"?>\n<s3:List xmlns:s3="http://x/" a='b'><Key>a &amp;&lt;&#x1F600;&#65;</Key><Empty/><Key>b</Key></s3:List>\n`;
    const list = parseXml(xml);
    expect(list.name).toBe("List");
    expect(list.children.map(({ name, text }) => [name, text])).toEqual([
      ["Key", "a &<\u{1F600}A"],
      ["Empty", ""],
      ["Key", "b"],
    ]);
    expect([childText(list, "Key"), childText(list, "None")]).toEqual(["a &<\u{1F600}A", undefined]);
  });

  test.each([
    "",
    "text",
    "<a>",
    "<a></b>",
    "<a/><b/>",
    "</a>",
    "<a>&b;</a>",
    "<a>&</a>",
    "<a>&#x110000;</a>",
    "<a b></a>",
    '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>',
    "<a><![CDATA[b]]></a>",
    "<a><!-- b --></a>",
    "<a><b></a></b>",
    "<a".padEnd(50_000, " "),
    "<a>".repeat(5_000),
  ])("is refused when it is anything else: %.40j", (xml) => {
    expect(() => parseXml(xml)).toThrow(SyntaxError);
  });
});

test("texts that are known are kept up to a number of characters, the last used longest", () => {
  const cache = new TextCache(10);
  const known = (text: string) => ({ text, etag: "e" });
  cache.set("a", known("1234"));
  cache.set("b", known("1234"));
  expect(cache.get("a")?.text).toBe("1234");
  cache.set("c", known("1234"));
  expect([cache.get("a")?.text, cache.get("b")?.text, cache.get("c")?.text]).toEqual(["1234", undefined, "1234"]);
  cache.set("a", known("12"));
  cache.set("d", known("1234"));
  expect([cache.get("a")?.text, cache.get("c")?.text, cache.get("d")?.text]).toEqual(["12", "1234", "1234"]);
  cache.set("large", known("x".repeat(11)));
  expect(["a", "c", "d", "large"].map((name) => cache.get(name))).toEqual([undefined, undefined, undefined, undefined]);
});

test("of a pass over more texts than are kept, the same ones are kept each time, until another pass", () => {
  const cache = new TextCache(10);
  const known = (text: string) => ({ text, etag: "e" });
  cache.set("old", known("1234"));
  for (let pass = 0; pass < 3; pass += 1) {
    cache.begin();
    const missed = ["a", "b", "c", "d"].filter((name) => !cache.get(name));
    for (const name of missed) cache.set(name, known("1234"));
    expect(missed).toEqual(pass === 0 ? ["a", "b", "c", "d"] : ["c", "d"]);
  }
  cache.begin();
  cache.set("e", known("1234"));
  expect(["old", "a", "b", "e"].map((name) => cache.get(name)?.text)).toEqual([undefined, undefined, "1234", "1234"]);
});
