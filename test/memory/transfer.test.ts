import { readFileSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { canonicalJson } from "../../src/memory/canonical-json.ts";
import { exportLines } from "../../src/memory/export.ts";
import { type ImportOptions, importFile } from "../../src/memory/import.ts";
import { Memory } from "../../src/memory/memory.ts";
import { copyMemory } from "../../src/memory/transfer.ts";
import { loadPrompts } from "../../src/prompts.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { encodeUserId, userRoots } from "../../src/store/namespaces.ts";
import type { KeptRow } from "../../src/store/row-driver.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { email, temporaryFolder } from "../support/assistant.ts";
import { learnRule } from "../support/lesson.ts";

const ANA = "ana@home.example";
const AT = "2026-03-02T09:00:00.000Z";
const prompts = loadPrompts();
let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder[Symbol.dispose]());

const openEmpty = () => MnemailStore.open(createMemoryDriver());
const exported = async (store: MnemailStore, user?: string) => {
  let file = "";
  for await (const line of exportLines(store, user)) file += line;
  return file;
};
const save = (text: string | Uint8Array, name = "memories.jsonl") => {
  writeFileSync(folder.path(name), text);
  return folder.path(name);
};
const bring = (store: MnemailStore, text: string | Uint8Array, options: Partial<ImportOptions> = {}) =>
  importFile(store, save(text), { prompts, ...options });
const counts = (some: object) => ({ added: 0, replaced: 0, unchanged: 0, kept: 0, expired: 0, ...some });
const row = (fields: Partial<KeptRow>): KeptRow => ({
  ...{ namespace: ["email_assistant", encodeUserId(ANA), "collection"], key: "k", value: { content: "x" } },
  ...{ createdAt: new Date(AT), updatedAt: new Date(AT), expiresAt: null, ttlMinutes: null, fields: ["content"] },
  ...fields,
});

const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 6 });
const label = fc
  .oneof(text, fc.constantFrom("_", "%", "a b", "é", "😀", "examples"))
  .map((each) => each.replaceAll(".", "_"));
const time = fc.date({ min: new Date(0), max: new Date("2999-01-01"), noInvalidDate: true });
const userRow = (user: string) =>
  fc.record<KeptRow>({
    namespace: fc
      .tuple(fc.constantFrom(...Object.values(userRoots(user))), fc.array(label, { maxLength: 3 }))
      .map(([root, rest]) => [...root, ...rest]),
    key: fc.oneof(text, fc.constantFrom("__proto__", "a/b", "<id@x>")),
    value: fc.dictionary(
      fc.oneof(text, fc.constantFrom("__proto__", "10", "9")),
      fc.jsonValue({ stringUnit: "grapheme" }),
      {
        maxKeys: 4,
      },
    ),
    createdAt: time,
    updatedAt: time,
    expiresAt: fc.option(fc.date({ min: new Date("2500-01-01"), max: new Date("2999-01-01"), noInvalidDate: true })),
    ttlMinutes: fc.option(fc.nat()),
    fields: fc.uniqueArray(fc.constantFrom("$", "a", "content", "email"), { maxLength: 3 }),
  });
const rowsOf = (...users: string[]) =>
  fc.uniqueArray(fc.oneof(...users.map(userRow)), {
    maxLength: 12,
    selector: ({ namespace, key }) => JSON.stringify([namespace, key]),
  });
const holding = async (rows: KeptRow[]) => {
  const store = await openEmpty();
  await store.restore(rows);
  return store;
};

describe("an export", () => {
  test("comes back as it was: importing it into an empty store and exporting again gives equal bytes", async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf(ANA), async (rows) => {
        const first = await exported(await holding(rows), ANA);
        const other = await openEmpty();
        const { added } = await bring(other, first);
        expect(added).toBe(rows.length);
        expect(await exported(other, ANA)).toBe(first);
        expect(await bring(other, first)).toEqual(counts({ unchanged: rows.length }));
        expect(await exported(other, ANA)).toBe(first);
      }),
      { numRuns: 60 },
    );
  });

  test("of all users comes back too, and copying does the same, also by way of a file", async () => {
    await fc.assert(
      fc.asyncProperty(rowsOf("user1", "user10", "a.b"), async (rows) => {
        using own = temporaryFolder();
        const store = await holding(rows);
        const first = await exported(store);
        const [imported, copied] = [await openEmpty(), await MnemailStore.open(openSqliteDriver(own.path("m.db")))];
        await bring(imported, first);
        await copyMemory(store, copied);
        expect(await exported(imported)).toBe(first);
        expect(await exported(copied)).toBe(first);
        expect(await copyMemory(store, copied)).toEqual(counts({ unchanged: rows.length }));
        await copied.stop();
      }),
      { numRuns: 15 },
    );
  });

  test("of one user holds nothing of another, however alike their names, and neither does a copy", async () => {
    const store = await openEmpty();
    for (const user of ["user1", "user10", "user1.x"]) {
      const { prompts: prompt, memory } = userRoots(user);
      await store.restore([row({ namespace: prompt }), row({ namespace: [...memory, "examples"] })]);
    }
    const [header, ...lines] = (await exported(store, "user1")).trim().split("\n");
    expect(JSON.parse(header ?? "")).toMatchObject({ mnemail_export: 1, user: "user1" });
    expect(lines).toHaveLength(3);
    const copy = await openEmpty();
    expect(await copyMemory(store, copy, { userId: "user1" })).toEqual(counts({ added: 2 }));
    expect((await copy.listNamespaces()).flat().filter((each) => each.startsWith("user"))).toEqual(["user1", "user1"]);
  });

  test("can be imported for another user, whose namespaces it then has", async () => {
    const rows = [row({ namespace: userRoots(ANA).prompts, key: "triage_ignore" }), row({})];
    const store = await openEmpty();
    await bring(store, await exported(await holding(rows), ANA), { userId: "bo" });
    expect(await store.listNamespaces()).toEqual([["bo"], ["email_assistant", "bo", "collection"]]);
    await expect(bring(store, await exported(store), { userId: "bo" })).rejects.toThrow(
      /holds the memories of many users/,
    );
  });

  test("is refused when any bit of it is flipped or any part cut off, and nothing is written", async () => {
    const rows = [row({ key: "a" }), row({ key: "b", value: { content: "é\u2028\u001f", n: 1.5 } })];
    const bytes = Buffer.from(await exported(await holding(rows), ANA));
    const store = await openEmpty();
    const refused = async (damaged: Uint8Array) => {
      await expect(bring(store, damaged)).rejects.toThrow(/line \d+:|is empty/);
      expect((await store.health()).items).toBe(0);
    };
    for (let cut = 0; cut < bytes.length; cut += 1) await refused(bytes.subarray(0, cut));
    for (let at = 0; at < bytes.length; at += 1) {
      const damaged = Buffer.from(bytes);
      damaged[at] = (damaged[at] ?? 0) ^ (1 << (at % 8));
      await refused(damaged);
    }
    expect(await bring(store, bytes)).toEqual(counts({ added: 2 }));
  });

  test("is refused with the line that is wrong, a line more or less, and a newer version", async () => {
    const store = await openEmpty();
    const lines = (await exported(await holding(["a", "b", "c"].map((key) => row({ key }))), ANA)).split("\n");
    const file = (...numbers: number[]) => numbers.map((i) => `${lines[i]}\n`).join("");
    await expect(bring(store, file(0, 1, 3, 4))).rejects.toThrow(/line 4: the lines before it are not those/);
    await expect(bring(store, file(0, 2, 1, 3, 4))).rejects.toThrow(/line 5: the lines before it/);
    await expect(bring(store, file(0, 1, 2, 3))).rejects.toThrow(
      /line 5: is missing; the file is cut off after 3 items/,
    );
    await expect(bring(store, file(0, 1, 2, 3, 4, 1))).rejects.toThrow(/line 6: stands after the end/);
    await expect(bring(store, file(0, 1, 2, 3, 4).replace('"b"', '"B"'))).rejects.toThrow(/line 3: is damaged/);
    await expect(bring(store, '{"mnemail_export":2,"of":"tomorrow"}\n')).rejects.toThrow(
      /line 1: .* version 2, .* up to 1/,
    );
    expect((await store.health()).items).toBe(0);
  });

  test("of more items than a batch goes on where an interrupted import stopped", async () => {
    const rows = Array.from({ length: 450 }, (_, i) => row({ key: `k${i}` }));
    const whole = await exported(await holding(rows), ANA);
    const store = await openEmpty();
    await expect(bring(store, whole.slice(0, -1))).rejects.toThrow(/line 452: is cut off/);
    expect((await store.health()).items).toBe(0);
    const stop = (done: number) => {
      if (done >= 400) throw new Error("killed");
    };
    await expect(bring(store, whole, { onProgress: stop })).rejects.toThrow("killed");
    expect(await bring(store, whole)).toEqual(counts({ added: 50, unchanged: 400 }));
    expect(await exported(store, ANA)).toBe(whole);
  });

  test("takes the place of older items only, unless it is forced; a dry run writes nothing", async () => {
    const at = (key: string, second: number, content: string) =>
      row({ key, updatedAt: new Date(Date.parse(AT) + second * 1_000), value: { content } });
    const file = await exported(
      await holding([at("newer", 5, "file"), at("older", 1, "file"), at("same", 2, "x")]),
      ANA,
    );
    const here = [at("newer", 1, "here"), at("older", 5, "here"), at("same", 2, "x")];
    const store = await holding(here);
    const before = await exported(store, ANA);
    const expected = counts({ replaced: 1, kept: 1, unchanged: 1 });
    expect(await bring(store, file, { dryRun: true })).toEqual(expected);
    expect(await exported(store, ANA)).toBe(before);
    expect(await bring(store, file)).toEqual(expected);
    expect((await store.get(here[1]?.namespace ?? [], "older"))?.value).toEqual({ content: "here" });
    expect(await bring(store, file, { force: true })).toEqual(counts({ replaced: 1, unchanged: 2 }));
    expect(await exported(store, ANA)).toBe(file);
  });

  test("leaves out what has expired since", async () => {
    const expiresAt = new Date(Date.now() + 50);
    const file = await exported(await holding([row({ expiresAt, ttlMinutes: 1 }), row({ key: "stays" })]), ANA);
    await expect.poll(() => Date.now() > expiresAt.getTime()).toBe(true);
    expect(await bring(await openEmpty(), file)).toEqual(counts({ added: 1, expired: 1 }));
  });
});

test("the order in which a database names fields does not show in an export", async () => {
  const files = await Promise.all(
    [
      ["a", "B"],
      ["B", "a"],
    ].map(async (fields) => {
      const store = await openEmpty();
      store.pages = async function* () {
        yield [row({ fields })];
      };
      return exported(store, ANA);
    }),
  );
  expect(files[0]).toBe(files[1]);
});

test("an item that only another program could write is left out of a copy, and named", async () => {
  const store = await openEmpty();
  const other = await openEmpty();
  const odd = row({ namespace: ["langgraph", "x"] });
  store.pages = async function* () {
    yield [row({}), odd];
  };
  const warnings: string[] = [];
  expect(await copyMemory(store, other, { warn: (line) => warnings.push(line) })).toEqual(counts({ added: 1 }));
  expect(warnings).toEqual([expect.stringMatching(/^\["langgraph","x","k"\] is left out: .*reserved/)]);
});

test("canonical JSON is the same for equal values, and sorts keys by code unit", () => {
  expect(canonicalJson({ b: [1, { d: null, c: "é" }], "10": 1, "9": 1e21, ﬀ: 1, "😀": true })).toBe(
    '{"10":1,"9":1e+21,"b":[1,{"c":"é","d":null}],"😀":true,"ﬀ":1}',
  );
});

describe("a file in the layout of LangGraph's guides", () => {
  const mail = { author: "Tom <tom@work.example>", to: "ana@home.example", subject: "Lunch", email_thread: "At noon?" };
  const guides = {
    procedural: {
      "ana/triage_ignore": { prompt: "Newsletters", theirs: 1 },
      "ana/triage_notify": { prompt: "Outages" },
      "ana/triage_respond": { prompt: "Questions" },
      "ana/agent_instructions": { prompt: "Be brief." },
    },
    semantic: { "ana/1": { email: mail, label: "respond" } },
    episodic: { "ana/2": { content: "Tom is on leave on Fridays." } },
  };

  test("is read as what the user said: prompts, examples and facts, found by searches", async () => {
    const store = await openEmpty();
    expect(await bring(store, JSON.stringify(guides, null, 2))).toEqual(counts({ added: 6 }));
    const memory = new Memory(store, prompts);
    const all = await memory.readAll("ana");
    expect(all.procedural.map((prompt) => prompt.text)).toEqual(["Newsletters", "Outages", "Questions", "Be brief."]);
    const tom = email({ from: mail.author, subject: mail.subject, body: mail.email_thread });
    const { examples } = await memory.readForTriage("ana", tom);
    expect(examples).toMatchObject([
      { record: { label: "respond", email: { from: mail.author, subject: "Lunch", body: "At noon?" } } },
    ]);
    const facts = await memory.facts.search("ana", { query: "Who is on leave on Fridays?", limit: 5 });
    expect(facts).toMatchObject([{ record: { kind: "fact", trust: "user", content: "Tom is on leave on Fridays." } }]);
    expect((await store.get(["ana"], "triage_ignore"))?.value).toEqual({ prompt: "Newsletters", theirs: 1 });
    expect((await store.health()).unembedded).toBe(2);
  });

  test("read twice adds nothing, and never takes away what was learnt since, unless it is forced", async () => {
    const store = await openEmpty();
    const memory = new Memory(store, prompts);
    await memory.readForTriage("ana", email({ body: "The defaults are written" }));
    const file = JSON.stringify(guides);
    expect(await bring(store, file)).toEqual(counts({ added: 3, replaced: 3 }));
    expect(await bring(store, file)).toEqual(counts({ unchanged: 6 }));
    await learnRule(memory, "ana", "triage_ignore", "Ignore sales");
    expect(await bring(store, file)).toEqual(counts({ unchanged: 5, kept: 1 }));
    expect((await memory.readAll("ana")).procedural[0]?.text).toContain("Ignore sales");
    expect(await bring(store, file, { force: true })).toEqual(counts({ unchanged: 5, replaced: 1 }));
    expect((await memory.readAll("ana")).procedural[0]?.text).toBe("Newsletters");
  });

  test.each([
    ["the guides' namespace", { "email_assistant/ana/examples/1": 0 }],
    ["the guides' namespace with dots", { "email_assistant.ana.examples": { "1": 0 } }],
    ["the last label alone", { "ana/examples/1": 0 }],
    ["nested objects", { ana: { "1": 0 } }],
    ["nested namespaces", { email_assistant: { ana: { examples: { "<1/2@x>": 0 } } } }],
  ])("may write its keys as %s", async (_, keys) => {
    const store = await openEmpty();
    const fill = (value: unknown): unknown =>
      value === 0
        ? guides.semantic["ana/1"]
        : Object.fromEntries(Object.entries(value ?? {}).map(([key, inner]) => [key, fill(inner)]));
    await bring(store, JSON.stringify({ semantic: fill(keys) }));
    expect(await store.listNamespaces()).toEqual([["email_assistant", "ana", "examples"]]);
    expect((await new Memory(store, prompts).readAll("ana")).semantic).toHaveLength(1);
  });

  test("is taken for another user when it names one only", async () => {
    const store = await openEmpty();
    await bring(store, JSON.stringify(guides), { userId: "bo@x.example" });
    expect((await store.listNamespaces()).flat()).not.toContain("ana");
    const two = { procedural: { ...guides.procedural, "bo/triage_ignore": { prompt: "x" } } };
    await expect(bring(store, JSON.stringify(two), { userId: "cy" })).rejects.toThrow(/many users/);
  });

  test.each([
    ["an unknown section", { memories: {} }, /"memories": expected procedural, semantic, episodic/],
    [
      "an unknown prompt",
      { procedural: { "ana/tone": { prompt: "x" } } },
      /"procedural\/ana\/tone": its key is none of triage_ignore/,
    ],
    [
      "a prompt without a user",
      { procedural: { triage_ignore: { prompt: "x" } } },
      /"procedural\/triage_ignore": expected/,
    ],
    ["an empty prompt", { procedural: { "ana/triage_ignore": { prompt: "" } } }, /triage_ignore": prompt: /],
    [
      "a prompt that is a text",
      { procedural: { "ana/triage_ignore": "x" } },
      /triage_ignore": expected \{ "prompt": TEXT \}/,
    ],
    ["an unknown label", { semantic: { "ana/1": { email: mail, label: "spam" } } }, /"semantic\/ana\/1": label: /],
    [
      "an email without a sender",
      { semantic: { "ana/1": { email: { ...mail, author: "" }, label: "ignore" } } },
      /from: /,
    ],
    [
      "a list",
      { episodic: { ana: [{ content: "x" }] } },
      /"episodic\/ana": expected \{ "content": TEXT \} under USER\/ID/,
    ],
    ["half a character", { episodic: { "ana/1": { content: "\ud800" } } }, /"episodic\/ana\/1": .*surrogate/],
  ])("is refused with %s, and nothing is written", async (_, wrong, message) => {
    const store = await openEmpty();
    const error = await bring(store, JSON.stringify({ ...guides, ...wrong })).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "input", message: expect.stringMatching(message) });
    expect(String(error)).not.toContain("\n");
    expect((await store.health()).items).toBe(0);
  });

  test("anything else is refused", async () => {
    const store = await openEmpty();
    await expect(bring(store, "not JSON\n")).rejects.toThrow(/line 1: is neither that of an export nor/);
    await expect(bring(store, "[1]")).rejects.toThrow(/line 1: is neither/);
    await expect(bring(store, "")).rejects.toThrow(/is empty/);
    await expect(importFile(store, "/dev/null", { prompts })).rejects.toThrow(/is not a regular file/);
    await expect(importFile(store, folder.path("none"), { prompts })).rejects.toThrow(/cannot be read/);
    const database = await MnemailStore.open(openSqliteDriver(folder.path("m.db")));
    await database.stop();
    await expect(bring(store, readFileSync(folder.path("m.db")))).rejects.toThrow(
      /is a SQLite database, not an export/,
    );
  });
});
