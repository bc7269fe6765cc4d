import { PGlite } from "@electric-sql/pglite";
import { PGLiteSocketServer } from "@electric-sql/pglite-socket";
import { InMemoryStore, type Operation } from "@langchain/langgraph-checkpoint";
import { PostgresStore } from "@langchain/langgraph-checkpoint-postgres/store";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { decodeLabel, encodeLabel, encodeLabels, isUpstreamPostgresStore } from "../../src/store/encoded-labels.ts";

const REFUSED = /[%_\\:]/;
const text = fc.string({ unit: fc.oneof(fc.constantFrom("%", "_", "\\", ":", "~", "5", "F", "a"), fc.string()) });

describe("an encoded label", () => {
  test("is decoded to the label it was, and has nothing that PostgresStore refuses", () => {
    fc.assert(
      fc.property(text, (label) => {
        expect(decodeLabel(encodeLabel(label))).toBe(label);
        expect(encodeLabel(label)).not.toMatch(REFUSED);
      }),
    );
  });

  test("is never the beginning of another one", () => {
    fc.assert(
      fc.property(text, text, (label, other) => {
        expect(encodeLabel(other).startsWith(encodeLabel(label))).toBe(label === other);
        expect(encodeLabel(label + other).startsWith(encodeLabel(label))).toBe(other === "");
      }),
    );
  });

  test.each(["lance", "lance~", "a~5f~~", "a~~b~~", "a_b~~", ""])(
    "is not mistaken for %j, which others wrote",
    (foreign) => {
      expect(decodeLabel(foreign)).toBeUndefined();
    },
  );
});

/** A store in memory that refuses what PostgresStore refuses, and finds `user10` below `user1` as that one does. */
class RefusingStore extends InMemoryStore {
  override async batch<Op extends readonly Operation[]>(operations: Op) {
    const labels = operations.flatMap((op) =>
      "namespacePrefix" in op ? op.namespacePrefix : "namespace" in op ? op.namespace : [],
    );
    if (labels.some((label) => REFUSED.test(label))) throw new Error(`refused: ${labels}`);
    return super.batch(operations);
  }
}

const label = fc.constantFrom("u", "u1", "u10", "u_1", "u%", "u:1", "u~~", "u~5F1", "\\", "ü");
const namespace = fc.array(label, { minLength: 1, maxLength: 3 });
const path = fc.array(fc.oneof(label, fc.constant("*")), { minLength: 1, maxLength: 3 });
const matches = (name: string[], pattern: string[]) =>
  name.length === pattern.length && name.every((each, i) => pattern[i] === "*" || pattern[i] === each);
const byText = (a: string[], b: string[]) => (a.join(".") < b.join(".") ? -1 : 1);

describe("a store behind encoded labels", () => {
  test("finds exactly what lies below a prefix by whole labels, page by page", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(namespace, { maxLength: 12 }), namespace, async (namespaces, prefix) => {
        const store = encodeLabels(new RefusingStore());
        await store.batch(namespaces.map((each, i) => ({ namespace: each, key: `k${i}`, value: { each } })));
        const below = namespaces.filter((each) => matches(each.slice(0, prefix.length), prefix));
        const found = [];
        for (let offset = 0; offset < below.length + 2; offset += 2) {
          found.push(...(await store.search(prefix, { limit: 2, offset })));
        }
        expect(found.map((item) => item.namespace).sort(byText)).toEqual(below.sort(byText));
        expect(found.every((item) => item.namespace.join() === item.value["each"].join())).toBe(true);
      }),
    );
  });

  test("lists namespaces by prefix, suffix, wildcard and depth, page by page", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(namespace, { maxLength: 12 }),
        fc.option(path, { nil: undefined }),
        fc.option(path, { nil: undefined }),
        fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
        async (namespaces, prefix, suffix, maxDepth) => {
          const store = encodeLabels(new RefusingStore());
          await store.batch(namespaces.map((each) => ({ namespace: each, key: "k", value: {} })));
          const expected = namespaces
            .filter((each) => !prefix || matches(each.slice(0, prefix.length), prefix))
            .filter((each) => !suffix || matches(each.slice(-suffix.length), suffix))
            .map((each) => each.slice(0, maxDepth));
          const distinct = [...new Map(expected.map((each) => [each.join("."), each])).values()].sort(byText);
          const options = { ...(prefix && { prefix }), ...(suffix && { suffix }), ...(maxDepth && { maxDepth }) };
          expect(await store.listNamespaces(options)).toEqual(distinct);
          expect(await store.listNamespaces({ ...options, limit: 2, offset: 1 })).toEqual(distinct.slice(1, 3));
        },
      ),
    );
  });

  test("gets, puts and deletes in one batch, and leaves all but the labels as they are", async () => {
    const inner = new RefusingStore();
    const store = encodeLabels(inner);
    await store.put(["a_b"], "k_1", { text: "x_y" }, false);
    expect(await store.get(["a_b"], "k_1")).toMatchObject({ namespace: ["a_b"], key: "k_1", value: { text: "x_y" } });
    expect(await inner.get(["a~5Fb~~"], "k_1")).toMatchObject({ value: { text: "x_y" } });
    const results: unknown[] = await store.batch([
      { namespace: ["a_b"], key: "k_1" },
      { namespace: ["a_b"], key: "none" },
      { namespace: ["a_b"], key: "k_1", value: null },
      { limit: 10, offset: 0 },
      { namespacePrefix: ["a_b"] },
    ]);
    expect(results).toMatchObject([{ namespace: ["a_b"], key: "k_1" }, null, null, [["a_b"]], [{ key: "k_1" }]]);
    await store.delete(["a_b"], "k_1");
    expect(await store.get(["a_b"], "k_1")).toBeNull();
  });

  test("still refuses the labels that LangGraph refuses", async () => {
    const store = encodeLabels(new InMemoryStore());
    for (const namespace of [["a.b"], [""], ["langgraph"], []]) {
      await expect(store.put(namespace, "k", {})).rejects.toThrow(/namespace/i);
      await expect(store.batch([{ namespace, key: "k", value: {} }])).rejects.toThrow(/namespace/i);
    }
    await expect(store.search(["a.b"])).rejects.toThrow(/namespace/i);
  });

  test("does not see what others wrote without the encoding", async () => {
    const inner = new InMemoryStore();
    await inner.put(["lance~~x"], "k", {});
    const store = encodeLabels(inner);
    await store.put(["lance"], "k", {});
    expect((await store.search(["lance"])).map((item) => item.namespace)).toEqual([["lance"]]);
    expect(await store.listNamespaces()).toEqual([["lance"]]);
  });

  test("is started once before its first use, again only when that failed", async () => {
    const starts: string[] = [];
    class SlowStore extends InMemoryStore {
      override async start() {
        starts.push("start");
        if (starts.length === 1) throw new Error("not yet");
      }
    }
    const store = encodeLabels(new SlowStore());
    const first = await Promise.allSettled([store.get(["a"], "k"), store.search(["a"])]);
    expect(first.map((each) => each.status)).toEqual(["rejected", "rejected"]);
    await Promise.all([store.get(["a"], "k"), store.search(["a"]), store.put(["a"], "k", {})]);
    expect(starts).toEqual(["start", "start"]);
  });
});

describe("LangGraph's own PostgresStore", () => {
  let server: Awaited<ReturnType<typeof startPglite>>;
  const opened: PostgresStore[] = [];
  const openUpstream = () => {
    const store = PostgresStore.fromConnString(server.url);
    opened.push(store);
    return store;
  };
  beforeAll(async () => {
    server = await startPglite();
  });
  afterEach(async () => {
    for (const store of opened.splice(0)) await store.stop();
    await server.reset();
  });
  afterAll(async () => {
    await server.stop();
  });

  test("is told from other stores, also where it is subclassed", () => {
    class TheirStore extends PostgresStore {}
    const theirs = new TheirStore({ connectionOptions: server.url });
    opened.push(theirs);
    expect(isUpstreamPostgresStore(openUpstream())).toBe(true);
    expect(isUpstreamPostgresStore(theirs)).toBe(true);
    expect(isUpstreamPostgresStore(new InMemoryStore())).toBe(false);
    expect(isUpstreamPostgresStore(encodeLabels(openUpstream()))).toBe(false);
  });

  test("refuses our namespaces, and keeps them behind encoded labels", async () => {
    const upstream = openUpstream();
    await upstream.setup();
    const examples = ["email_assistant", "alice@example=2Ecom", "examples"];
    await expect(upstream.put(examples, "e1", { label: "respond" })).rejects.toThrow(/Invalid namespace label/);
    const store = encodeLabels(upstream);
    await store.put(examples, "e1", { label: "respond" });
    expect(await store.get(examples, "e1")).toMatchObject({ namespace: examples, value: { label: "respond" } });
    expect(await store.search(["email_assistant"])).toMatchObject([{ namespace: examples, key: "e1" }]);
    expect(await store.listNamespaces({ prefix: ["*", "alice@example=2Ecom"], maxDepth: 2 })).toEqual([
      examples.slice(0, 2),
    ]);
  });

  test("finds nothing of user10 or user1_x below user1, on any page", async () => {
    const store = encodeLabels(openUpstream());
    const users = ["user10", "user1", "user1_x", "user1:x", "user1%"];
    const puts = [1, 2, 3].flatMap((n) =>
      users.map((user) => ({ namespace: ["a", user], key: `k${n}`, value: { n } })),
    );
    await store.batch(puts);
    await store.put(["a", "user1", "deep"], "k4", { n: 4 });
    const pages = [0, 2, 4].map((offset) => store.search(["a", "user1"], { limit: 2, offset }));
    for (const found of [(await Promise.all(pages)).flat(), await store.search(["a", "user1"], { limit: 20 })]) {
      expect(found.map(({ namespace, key }) => [...namespace, key].join()).sort()).toEqual([
        "a,user1,deep,k4",
        "a,user1,k1",
        "a,user1,k2",
        "a,user1,k3",
      ]);
    }
  });

  test("answers as many batched queries at once as there are connections", async () => {
    const store = encodeLabels(openUpstream());
    await store.put(["a"], "k", { text: "about the invoice" });
    const queries = Array.from({ length: 20 }, () => store.batch([{ namespacePrefix: ["a"], query: "invoice" }]));
    for (const results of await Promise.all(queries)) expect(results).toMatchObject([[{ key: "k" }]]);
  });

  test("survives six first calls at once, which break it without the adapter", async () => {
    const firstPuts = (put: (key: string) => Promise<void>) =>
      Promise.allSettled(["1", "2", "3", "4", "5", "6"].map(put)).then(
        (all) => new Set(all.map((each) => each.status)),
      );
    const alone = openUpstream();
    expect(await firstPuts((key) => alone.put(["a"], key, {}))).toContain("rejected");
    await server.reset();
    const store = encodeLabels(openUpstream());
    expect(await firstPuts((key) => store.put(["a"], key, {}))).toEqual(new Set(["fulfilled"]));
  });
});

async function startPglite() {
  const database = await PGlite.create();
  const server = new PGLiteSocketServer({ db: database, port: 0, maxConnections: 50 });
  await server.start();
  return {
    url: `postgres://postgres:postgres@${server.getServerConn()}/postgres`,
    reset: () => database.exec("DROP SCHEMA public CASCADE; CREATE SCHEMA public"),
    async stop() {
      await server.stop();
      await database.close();
    },
  };
}
