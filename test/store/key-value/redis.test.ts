import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { inspect } from "node:util";
import fc from "fast-check";
import { afterAll, afterEach, describe, expect, test, vi } from "vitest";
import { renderError } from "../../../src/errors.ts";
import type { KeyValue } from "../../../src/store/key-value/key-value.ts";
import { openRedis } from "../../../src/store/key-value/redis.ts";
import { parseRedisUrl } from "../../../src/store-config/redis-address.ts";
import { temporaryFolder } from "../../support/assistant.ts";
import { type RedisServer, startRedis } from "../../support/redis.ts";
import { describePlace } from "./place-clauses.ts";

/** A way to the server that can be cut. */
interface Line extends AsyncDisposable {
  url: string;
  /** Cuts the connection instead of giving the answer to the next batch, once `meanwhile` is done. */
  loseAnswer(meanwhile?: () => Promise<unknown>): void;
  /** Lets half of the next batch through, and cuts the connection. */
  loseHalf(): void;
  /** Passes on nothing more on the connections there are, as a network that forgot them. */
  fallSilent(): void;
  /** How many batches came. */
  batches: number;
}

async function openLine(url: string): Promise<Line> {
  const { hostname, port } = new URL(url);
  let meanwhile: (() => Promise<unknown>) | undefined;
  let halves = false;
  const sockets = new Set<Socket>();
  const silent = new Set<Socket>();
  const listener = createServer((near) => {
    const far = connect(Number(port), hostname);
    let awaited: typeof meanwhile;
    near.on("data", (data) => {
      if (silent.has(near)) return;
      const isBatch = data.includes("PEXPIREAT");
      if (isBatch) line.batches += 1;
      if (isBatch && halves) {
        halves = false;
        far.end(data.subarray(0, data.length / 2), () => near.destroy());
        return;
      }
      if (isBatch) [awaited, meanwhile] = [meanwhile, undefined];
      far.write(data);
    });
    far.on("data", (data) => {
      if (awaited) void awaited().then(() => near.destroy());
      else near.write(data);
    });
    near.on("close", () => far.destroy()).on("error", () => {});
    far.on("close", () => near.destroy()).on("error", () => {});
    sockets.add(near);
  });
  await once(listener.listen(0, "127.0.0.1"), "listening");
  const address = listener.address();
  const through = new URL(url);
  if (typeof address === "object" && address) through.port = String(address.port);
  const line: Line = {
    url: through.href,
    batches: 0,
    loseAnswer: (run = async () => {}) => {
      meanwhile = run;
    },
    loseHalf: () => {
      halves = true;
    },
    fallSilent: () => {
      for (const each of sockets) silent.add(each);
    },
    async [Symbol.asyncDispose]() {
      for (const each of sockets) each.destroy();
      listener.close();
    },
  };
  return line;
}

/** What a promise is rejected with, as people see it. */
async function lineOf(promise: Promise<unknown>): Promise<string> {
  return promise.then((result) => `no error: ${JSON.stringify(result)}`, renderError);
}

const server = await startRedis();
afterAll(() => server?.stop());

describe.skipIf(server === undefined)("a Redis as a place", () => {
  const places: KeyValue[] = [];
  const started = (): RedisServer => {
    if (server === undefined) throw new Error("no server");
    return server;
  };
  const open = async (...[url = started().url, options = {}]: Partial<Parameters<typeof openRedis>>) => {
    const place = await openRedis(url, options);
    places.push(place);
    return place;
  };
  const urlWith = (change: (url: URL) => void) => {
    const url = new URL(started().url);
    change(url);
    return url.href;
  };
  afterEach(async () => {
    for (const place of places.splice(0)) await place.close();
    await started().start();
    await started().ask("CONFIG", "SET", "maxmemory", "0");
    await started().ask("FLUSHALL");
  });

  describePlace(() => openRedis(started().url), 2_345);

  describe("shared with others", () => {
    test("touches keys of its prefix only, and sees no others", async () => {
      await started().ask("SET", "r/a", "of another");
      const ours = await open();
      const team = await open(urlWith((url) => url.searchParams.set("prefix", "team:1")));
      const second = await open(urlWith((url) => (url.pathname = "/2")));
      await ours.write([{ key: "r/a", text: "ours" }]);
      await team.write([{ key: "r/a", text: "team's" }]);
      await second.write([{ key: "r/a", text: "second's" }]);
      expect(await started().ask("GET", "r/a")).toBe("of another");
      expect(await ours.list("")).toEqual([{ key: "r/a", text: "ours" }]);
      expect(await team.list("")).toEqual([{ key: "r/a", text: "team's" }]);
      expect(await second.list("")).toEqual([{ key: "r/a", text: "second's" }]);
      const keys = await started().ask("KEYS", "*");
      expect(keys).toEqual(expect.arrayContaining(["r/a", "{mnemail}:r/a", "{team:1}:r/a"]));
      expect(Array.isArray(keys) && keys.every((key) => /^(r\/a$|\{mnemail\}:|\{team:1\}:)/.test(key))).toBe(true);
    });

    test("where something else has its keys, nothing of a batch is made", async () => {
      const place = await open();
      await place.write([{ key: "r/a", text: "1" }]);
      for (const name of ["{mnemail}:#index", "{mnemail}:#versions"]) {
        await started().ask("SET", name, "of another");
        for (const text of ["2", null])
          expect(await lineOf(place.write([{ key: "r/a", text }]))).toMatch(
            /^redis:.*its keys are used by something else .*prefix=NAME\)$/,
          );
        expect(await place.read(["r/a"])).toEqual(["1"]);
        await started().ask("DEL", name);
      }
    });
  });

  describe("expiry", () => {
    const soon = (ms: number) => new Date(Date.now() + ms);

    test("is Redis's own: the text goes, and the next listing takes its name out of the index", async () => {
      const place = await open();
      await place.write([
        { key: "r/brief", text: "1", expiresAt: soon(50) },
        { key: "r/long", text: "1", expiresAt: soon(60_000) },
        { key: "r/ever", text: "1", expiresAt: null },
      ]);
      await expect.poll(() => started().ask("EXISTS", "{mnemail}:r/brief")).toBe(0);
      expect(await started().ask("ZCARD", "{mnemail}:#index")).toBe(3);
      expect(await place.keys("r/")).toEqual(["r/ever", "r/long"]);
      expect(await started().ask("ZCARD", "{mnemail}:#index")).toBe(2);
      expect(await place.read(["r/brief", "r/long", "r/ever"])).toEqual([null, "1", "1"]);
      expect(await started().ask("PTTL", "{mnemail}:r/ever")).toBe(-1);
    });

    test("starts anew with each change, and ends where one has none", async () => {
      const place = await open();
      await place.write([{ key: "r/a", text: "1", expiresAt: soon(60_000) }]);
      await place.write([{ key: "r/a", text: "2", expected: "1" }]);
      expect(await started().ask("PTTL", "{mnemail}:r/a")).toBe(-1);
      await place.write([{ key: "r/a", text: "3", expiresAt: new Date(0) }]);
      expect([await place.read(["r/a"]), await place.list("")]).toEqual([[null], []]);
      expect(await place.write([{ key: "r/a", text: "4", expected: null }])).toBe(true);
      expect(await place.list("")).toEqual([{ key: "r/a", text: "4" }]);
    });
  });

  describe("what was read before", () => {
    const sent = async () => {
      const info = String(await started().ask("INFO", "stats"));
      return Number(/total_net_output_bytes:(\d+)/.exec(info)?.[1]);
    };
    const long = "x".repeat(100_000);

    test("is not sent again, and what is new is", async () => {
      const [place, other] = [await open(), await open()];
      await place.write(["a", "b", "c"].map((name) => ({ key: `r/u/${name}`, text: `${name}${long}` })));
      await other.list("r/u/");
      await place.write([
        { key: "r/u/a", text: null },
        { key: "r/u/b", text: `new${long}` },
        { key: "r/u/d", text: "short" },
      ]);
      const before = await sent();
      const found = await other.snapshot?.(["r/u/none"], ["r/u/", "r/v/"]);
      expect([...(found ?? [])]).toEqual([
        ["r/u/b", `new${long}`],
        ["r/u/c", `c${long}`],
        ["r/u/d", "short"],
      ]);
      expect((await sent()) - before).toBeLessThan(1.5 * long.length);
    });

    test("is never taken for what a server has that lost its data", async () => {
      const place = await open();
      await place.write(["a", "b"].map((name) => ({ key: `r/u/${name}`, text: "before" })));
      await place.list("r/u/");
      await started().ask("FLUSHALL");
      expect(await place.list("r/u/")).toEqual([]);
      await (await open()).write([{ key: "r/u/a", text: "after" }]);
      expect(await place.list("r/u/")).toEqual([{ key: "r/u/a", text: "after" }]);
    });

    test("is never taken for what a server has that went back to what it had before", async () => {
      const place = await open();
      await place.write([{ key: "r/u/a", text: "old" }]);
      const version = String(await started().ask("HGET", "{mnemail}:#versions", "r/u/a"));
      await place.write([{ key: "r/u/a", text: "new" }]);
      await place.list("r/u/");
      await started().ask("SET", "{mnemail}:r/u/a", "old");
      await started().ask("HSET", "{mnemail}:#versions", "r/u/a", version);
      expect(await place.list("r/u/")).toEqual([{ key: "r/u/a", text: "old" }]);
    });

    test("is never taken for what came meanwhile, whatever is written and read", async () => {
      const places = [await open(), await open()];
      const name = fc.constantFrom("r/u/a", "r/u/b", "r/v/a");
      const step = fc.record({
        by: fc.nat(1),
        key: name,
        isRemoved: fc.boolean(),
        prefix: fc.constantFrom("r/", "r/u/", ""),
      });
      await fc.assert(
        fc.asyncProperty(fc.array(step), async (steps) => {
          await started().ask("FLUSHALL");
          const model = new Map<string, string>();
          for (const [i, { by, key, isRemoved, prefix }] of steps.entries()) {
            const text = isRemoved ? null : String(i);
            await places[by]?.write([{ key, text }]);
            if (text === null) model.delete(key);
            else model.set(key, text);
            const expected = [...model].filter(([each]) => each.startsWith(prefix)).sort();
            const found = (await places[1 - by]?.list(prefix)) ?? [];
            expect(found.map((each) => [each.key, each.text]).sort()).toEqual(expected);
          }
        }),
        { numRuns: 50 },
      );
    });
  });

  describe("a connection that is lost in the middle of a batch", () => {
    const counted = (n: number) => [
      { key: "r/count", text: String(n), expected: n === 1 ? null : String(n - 1) },
      { key: `r/log/${n}`, text: String(n), expected: null },
    ];

    test("when half of it was sent, it is made once, whole", async () => {
      await using line = await openLine(started().url);
      const place = await open(line.url);
      line.loseHalf();
      expect(await place.write(counted(1))).toBe(true);
      expect(await place.read(["r/count", "r/log/1"])).toEqual(["1", "1"]);
      expect(line.batches).toBe(2);
    });

    test("when only the answer was lost, it is made once and said to be made", async () => {
      await using line = await openLine(started().url);
      const place = await open(line.url);
      line.loseAnswer();
      expect(await place.write(counted(1))).toBe(true);
      expect(await place.read(["r/count", "r/log/1"])).toEqual(["1", "1"]);
      expect(line.batches).toBe(2);
    });

    test("even when others changed the same meanwhile, nothing of theirs is undone", async () => {
      await using line = await openLine(started().url);
      const place = await open(line.url);
      const other = await open();
      line.loseAnswer(() => other.write(counted(2)));
      expect(await place.write(counted(1))).toBe(true);
      expect(await place.read(["r/count", "r/log/1", "r/log/2"])).toEqual(["2", "1", "2"]);
    });

    test("when the answer was that an expectation failed, it is the same the second time", async () => {
      await using line = await openLine(started().url);
      const place = await open(line.url);
      await place.write(counted(1));
      line.loseAnswer(() => started().ask("DEL", "{mnemail}:r/count"));
      expect(await place.write([{ key: "r/count", text: "2", expected: null }])).toBe(false);
      expect(await place.read(["r/count"])).toEqual([null]);
    });
  });

  describe("an erase", () => {
    const filesOf = (folder: string) =>
      readdirSync(folder, { recursive: true, withFileTypes: true })
        .filter((each) => each.isFile())
        .map((each) => readFileSync(join(each.parentPath, each.name), "utf8"))
        .join();

    test.each([[["--appendonly", "yes"]], [["--appendonly", "no", "--save", "3600 1"]]])(
      "leaves nothing of what was removed in the files of a server with %j",
      async (settings) => {
        const other = await startRedis(...settings);
        const place = await open(other?.url);
        await place.write(["removed", "kept"].map((key) => ({ key: `r/${key}`, text: `text that is ${key}` })));
        await place.vacuum?.();
        expect(filesOf(other?.folder ?? "")).toMatch(/text that is removed/);
        await place.write([{ key: "r/removed", text: null }]);
        expect(await place.vacuum?.()).toEqual([]);
        expect(filesOf(other?.folder ?? "")).toMatch(/text that is kept/);
        expect(filesOf(other?.folder ?? "")).not.toMatch(/removed/);
        await other?.stop();
      },
    );

    test("says what the server refused", async () => {
      await started().ask("ACL", "SETUSER", "eve", "on", ">pw", "~*", "+@all", "-bgrewriteaof");
      const place = await open(urlWith((url) => Object.assign(url, { username: "eve", password: "pw" })));
      expect(await place.vacuum?.()).toEqual([
        expect.stringMatching(/^redis:.*until someone runs BGREWRITEAOF, which it/),
      ]);
      await started().ask("ACL", "DELUSER", "eve");
    });
  });

  describe("a server that is away", () => {
    test("for a moment is waited for, by reads and writes", async () => {
      const warnings: string[] = [];
      const place = await open(undefined, { warn: (line) => warnings.push(line) });
      await place.write([{ key: "r/a", text: "1" }]);
      await started().kill();
      await expect.poll(() => warnings).toHaveLength(1);
      expect(warnings[0]).toMatch(/^redis:\/\/127\.0\.0\.1:\d+\/0\?prefix=mnemail: an idle connection was lost$/);
      const both = Promise.all([place.read(["r/a"]), place.write([{ key: "r/b", text: "2" }])]);
      await started().start();
      expect(await both).toEqual([["1"], true]);
      expect(await place.read(["r/a", "r/b"])).toEqual(["1", "2"]);
    });

    test("for longer gives one line, for which the first call alone waits, and works again later", async () => {
      const retryMs = 400;
      const place = await open(undefined, { retryMs });
      await started().kill();
      const begun = Date.now();
      const what = String.raw`^redis://127\S+: the server cannot be reached( \(tried .* s\))?`;
      const todo = String.raw` \(start it, or correct host, port and redis:// or rediss://\)$`;
      for (const run of [() => place.read(["r/a"]), () => place.keys("")])
        expect(await lineOf(run())).toMatch(new RegExp(`${what}${todo}`));
      const changed = await lineOf(place.write([{ key: "r/a", text: "1" }]));
      expect(changed).toMatch(new RegExp(`${what}; the change under way may have been made or not${todo}`));
      expect(Date.now() - begun).toBeLessThan(2 * retryMs);
      await started().start();
      expect(await place.write([{ key: "r/a", text: "1" }])).toBe(true);
    });

    test("behind a connection that fell silent is reached by another", async () => {
      await using line = await openLine(started().url);
      const place = await open(line.url, { timeoutMs: 200 });
      line.fallSilent();
      expect(await place.write([{ key: "r/a", text: "1", expected: null }])).toBe(true);
    });

    test("that says nothing holds up the first call, and the next ones for a second only", async () => {
      const place = await open(undefined, { retryMs: 1_500, timeoutMs: 2_000 });
      started().pause();
      try {
        expect(await lineOf(place.read(["r/a"]))).toMatch(/: the server does not answer/);
        const begun = Date.now();
        expect(await lineOf(place.read(["r/a"]))).toMatch(/: the server does not answer/);
        expect(Date.now() - begun).toBeLessThan(1_500);
      } finally {
        started().resume();
      }
      expect(await place.read(["r/a"])).toEqual([null]);
    });

    test("that says nothing is given up, and what was sent is made at most once when it wakes", async () => {
      const place = await open(undefined, { retryMs: 300, timeoutMs: 200 });
      started().pause();
      expect(await lineOf(place.write([{ key: "r/a", text: "1", expected: null }]))).toMatch(
        /: the server does not answer \(tried 2 times in .* s\); the change under way may have been made or not \(start it/,
      );
      started().resume();
      await expect.poll(() => place.read(["r/a"])).toEqual(["1"]);
      expect(await place.write([{ key: "r/a", text: "2", expected: "1" }])).toBe(true);
    });
  });

  describe("in one line, without secrets, says", () => {
    const password = () => new URL(started().url).password;

    test.each<[string, (url: URL) => void, RegExp]>([
      ["a wrong password", (url) => (url.password = "secret-and-wrong"), /: the user or password was refused \(/],
      ["an unknown user", (url) => (url.username = "eve"), /^(?!.*eve).*: the user or password was refused \(/],
      ["no password where one is wanted", (url) => (url.password = ""), /: the server wants a password \(put it /],
      [
        "a database that is not there",
        (url) => (url.pathname = "/99"),
        /\/99\?prefix=\S+: there is no such database number \(/,
      ],
      ["TLS that the server does not speak", (url) => (url.protocol = "rediss:"), /no TLS|cannot be reached/],
      ["a host that nobody knows", (url) => (url.hostname = "no-such-host.invalid"), /host is not known|cannot be/],
      ["a port where nothing listens", (url) => (url.port = "1"), /: the server cannot be reached \(tried/],
    ])("%s", async (_, change, expected) => {
      const url = urlWith(change);
      const said = await lineOf(openRedis(url, { retryMs: 100, timeoutMs: 500 }));
      expect(said).toMatch(/^rediss?:\/\/[^\n]+ \([^\n]+\)$/);
      expect(said).toMatch(expected);
      expect(said).not.toContain("secret");
      expect(said).not.toContain(password());
    });

    test("something that is no Redis", async () => {
      const other = createServer((socket) => socket.on("error", () => {}).end("HTTP/1.1 400 Bad Request\r\n\r\n"));
      await once(other.listen(0, "127.0.0.1"), "listening");
      const address = other.address();
      const port = typeof address === "object" && address ? address.port : 0;
      const said = await lineOf(openRedis(`redis://127.0.0.1:${port}`, { retryMs: 100 }));
      expect(said).toMatch(/: what answers there is no Redis \(correct host and port\)$/);
      other.close();
    });

    test.each([
      "redis:",
      "redis://",
      "redis://h/x",
      "redis://h?db=1",
      "redis://h?prefix={a}",
      "redis://a%zz@h",
      "http://h",
    ])("a URL that cannot be meant: %s", (url) => {
      expect(() => parseRedisUrl(url)).toThrow(/: .*(?:URL|host|number|option|prefix|encoded)/);
    });

    test("nothing of what an error keeps for programs either", async () => {
      const error = await openRedis(urlWith((url) => (url.password = "secret-and-wrong"))).catch(
        (each: unknown) => each,
      );
      expect(JSON.stringify([error, Object(error).cause, Object.entries(Object(error).cause)])).not.toContain("secret");
    });

    test("a server that has no such command, whose answer repeats what it was sent", async () => {
      const other = await startRedis("--rename-command", "EVAL", "");
      const place = await open(other?.url);
      const said = await lineOf(place.write([{ key: "r/a", text: "private" }]));
      expect(said).toMatch(/: the server does not know a command \(ERR unknown command 'EVAL'\).* \(name a Redis 7 /);
      expect(said).not.toMatch(/private|local index/);
      await other?.stop();
    });

    test.each([
      [
        "ERR unknown command 'AUTH', with args beginning with: 'pw-secret'",
        /: the server does not know a command \(ERR/,
      ],
      [
        "ERR unknown command `AUTH`, with args beginning with: `pw-secret`, ",
        /: the server does not know a command \(ERR/,
      ],
      ["ERR no such thing: AUTH pw-secret", /: the user or password was refused \(/],
      ["NOPERM ana pw-secret may not AUTH", /: the user lacks a permission \(/],
    ])("a refusal to log in, of which nothing is passed on: %s", async (reply, expected) => {
      const gate = createServer((socket) =>
        socket.on("data", () => socket.write(`-${reply}\r\n`)).on("error", () => {}),
      );
      await once(gate.listen(0, "127.0.0.1"), "listening");
      const address = gate.address();
      const port = typeof address === "object" && address ? address.port : 0;
      const url = `redis://ana:pw-secret@127.0.0.1:${port}`;
      const error = await openRedis(url, { retryMs: 0 }).catch((each: unknown) => each);
      expect(renderError(error)).toMatch(expected);
      expect(inspect(error, { depth: 9 })).not.toContain("secret");
      gate.close();
    });

    test("a full memory, in which reading and removing still work and nothing is half-written", async () => {
      const place = await open();
      await place.write(["a", "b"].map((key) => ({ key, text: "x".repeat(100_000) })));
      await started().ask("CONFIG", "SET", "maxmemory", "1mb");
      const batch = [
        { key: "head", text: "2", expected: null },
        { key: "receipt", text: "2" },
      ];
      expect(await lineOf(place.write(batch))).toMatch(/: the memory of the server is full \(raise its maxmemory.*\)$/);
      expect((await place.keys("")).sort()).toEqual(["a", "b"]);
      expect(await place.write([{ key: "a", text: null }])).toBe(true);
      await started().ask("CONFIG", "SET", "maxmemory", "0");
      expect(await place.write(batch)).toBe(true);
    });

    test("a read-only replica, which can be read", async () => {
      const { port, name } = started();
      await (await open()).write([{ key: "r/a", text: "1" }]);
      const replica = await startRedis("--replicaof", "127.0.0.1", String(port), "--masterauth", password());
      const place = await open(replica?.url);
      await expect.poll(() => place.list(""), { timeout: 10_000 }).toEqual([{ key: "r/a", text: "1" }]);
      expect(place.name).toBe(name);
      expect(await lineOf(place.write([{ key: "r/a", text: "2" }]))).toMatch(
        /: this server is a read-only replica \(name the primary; nothing was changed\)$/,
      );
      expect(await place.problems?.()).toMatchObject([{ problem: "this server is a read-only replica" }]);
      await replica?.stop();
    });

    test("a disk to which the server cannot write", async () => {
      const full = await startRedis("--appendonly", "no", "--save", "3600 1");
      const place = await open(full?.url);
      await place.write([{ key: "r/a", text: "1" }]);
      await rm(full?.folder ?? "", { recursive: true });
      await full?.ask("BGSAVE");
      await expect.poll(() => lineOf(place.write([{ key: "r/a", text: "2", expected: "1" }]))).not.toMatch(/no error/);
      expect(await lineOf(place.write([{ key: "r/a", text: "3" }]))).toMatch(/: the server cannot save to its disk/);
      expect(await place.problems?.()).toMatchObject([
        { problem: "the server could not save to its disk the last time" },
      ]);
      await full?.stop();
    });

    test("a user without permissions, whose batch is not made", async () => {
      await started().ask("ACL", "SETUSER", "ana", "on", ">pw", "~{mnemail}:*", "+@read", "+eval", "+select");
      const place = await open(urlWith((url) => Object.assign(url, { username: "ana", password: "pw" })));
      expect(place.name).toBe("Redis");
      expect(await lineOf(place.write([{ key: "r/a", text: "1" }]))).toMatch(
        /: the user lacks a permission \(.+\) \(allow it the keys .*ACL SETUSER\)\)$/,
      );
      expect(await place.list("")).toEqual([]);
      expect(await place.problems?.()).toEqual([]);
      await started().ask("ACL", "DELUSER", "ana");
    });

    test("a user with the permissions that are named, who can do everything", async () => {
      await started().ask("ACL", "SETUSER", "ana", "on", ">pw", "~{mnemail}:*", "+@read", "+@write", "+@scripting");
      await started().ask("ACL", "SETUSER", "ana", "+select", "+time", "+info");
      const place = await open(urlWith((url) => Object.assign(url, { username: "ana", password: "pw" })));
      expect(await place.write([{ key: "r/a", text: "1", expected: null }])).toBe(true);
      expect(await place.list("")).toEqual([{ key: "r/a", text: "1" }]);
      expect(await place.write([{ key: "r/a", text: null }])).toBe(true);
      await started().ask("ACL", "DELUSER", "ana");
    });

    test("a certificate that nobody vouches for, which NODE_EXTRA_CA_CERTS settles", async () => {
      await using gate = await openTlsGate(started().port);
      const url = urlWith((each) =>
        Object.assign(each, { protocol: "rediss:", hostname: "localhost", port: gate.port }),
      );
      expect(await lineOf(openRedis(url))).toMatch(/^rediss:\/\/\S+: no TLS connection \(self.signed certificate\) \(/);
      const script = `import { openRedis } from "./src/store/key-value/redis.ts";
        const place = await openRedis(process.argv[1]);
        await place.write([{ key: "r/a", text: "by TLS" }]);
        console.log(await place.read(["r/a"]));
        await place.close();
        await openRedis("redis://127.0.0.1:1", { retryMs: 0 }).catch(() => {});
        setImmediate(() => console.log(process.getActiveResourcesInfo().filter((name) => /^(TCP|TLS|Timeout)/.test(name))));`;
      const child = spawn("npx", ["tsx", "--input-type=module", "-e", script, url], {
        env: { PATH: process.env["PATH"], NODE_EXTRA_CA_CERTS: gate.certificate },
        stdio: ["ignore", "pipe", "inherit"],
      });
      let said = "";
      child.stdout.setEncoding("utf8").on("data", (text) => {
        said += text;
      });
      // It ends by itself once the place is closed.
      expect(await once(child, "exit")).toEqual([0, null]);
      expect(said).toBe("[ 'by TLS' ]\n[]\n");
    }, 20_000);
  });

  test.each([-60_000, 60_000])("a clock that is %i ms from the server's is told", async (off) => {
    const place = await open();
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + off });
    const problems = await place.problems?.().finally(() => vi.useRealTimers());
    expect(problems).toMatchObject([
      { problem: expect.stringMatching(off < 0 ? /^the server's clock is (59|60) s ahead / : /is (60|61) s behind /) },
    ]);
    expect(await place.problems?.()).toEqual([]);
  });

  test.each([
    [["--appendonly", "no"], [/keeps nothing on disk.*restarts/]],
    [["--appendonly", "no", "--save", "3600 1"], []],
    [
      ["--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru"],
      [/removes keys when its memory is full.*allkeys-lru/],
    ],
    [["--maxmemory-policy", "allkeys-lru"], []],
    [["--maxmemory", "50mb"], []],
  ])("a server with %j has its problems told: %j", async (settings, problems) => {
    const other = await startRedis(...settings);
    const place = await open(other?.url);
    expect((await place.problems?.())?.map(({ problem }) => problem)).toEqual(
      problems.map((each) => expect.stringMatching(each)),
    );
    await other?.stop();
  });
});

/** TLS in front of a port, with a certificate of its own for `localhost`. */
async function openTlsGate(to: number): Promise<AsyncDisposable & { port: string; certificate: string }> {
  const folder = temporaryFolder();
  const [key, certificate] = [folder.path("key.pem"), folder.path("certificate.pem")];
  const how = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 -subj /CN=localhost".split(
    " ",
  );
  execFileSync("openssl", [...how, "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate], {
    stdio: "pipe",
  });
  const gate = createTlsServer({ key: readFileSync(key), cert: readFileSync(certificate) }, (near) => {
    const far = connect(to, "127.0.0.1");
    near.pipe(far).pipe(near);
    near.on("error", () => far.destroy()).on("close", () => far.destroy());
    far.on("error", () => near.destroy()).on("close", () => near.destroy());
  });
  gate.on("tlsClientError", () => {});
  await once(gate.listen(0, "127.0.0.1"), "listening");
  const address = gate.address();
  return {
    port: String(typeof address === "object" && address ? address.port : 0),
    certificate: join(certificate),
    async [Symbol.asyncDispose]() {
      gate.close();
      folder[Symbol.dispose]();
    },
  };
}
