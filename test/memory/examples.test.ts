import { InMemoryStore } from "@langchain/langgraph";
import type { BaseStore } from "@langchain/langgraph-checkpoint";
import { describe, expect, test } from "vitest";
import { loadConfig } from "../../src/config.ts";
import { StoreAccess } from "../../src/memory/access.ts";
import { Examples } from "../../src/memory/examples.ts";
import { keepEmail, type Label } from "../../src/memory/records.ts";
import { metered } from "../../src/meter.ts";
import { openModels } from "../../src/models.ts";
import { createMemoryDriver } from "../../src/store/memory-driver.ts";
import { MnemailStore } from "../../src/store/mnemail-store.ts";
import { userNamespaces } from "../../src/store/namespaces.ts";
import { openSqliteDriver } from "../../src/store/sqlite-driver.ts";
import { email, temporaryFolder } from "../support/assistant.ts";

const ANA = "ana@home.example";
const [MONDAY, TUESDAY] = ["2026-03-02T09:00:00.000Z", "2026-03-03T09:00:00.000Z"];
const on = (store: BaseStore) => new Examples(new StoreAccess(store, () => {}));
const mail = (id: string, body: string, from = `${id} <${id}@${id}.example>`) =>
  keepEmail(email({ id, from, subject: "", body }));
const shown = async (examples: Examples) =>
  (await examples.list(ANA)).map(({ key, record }) => [key, record.label, record.at]);

describe.each<[string, () => Promise<BaseStore>]>([
  ["our store", () => MnemailStore.open(createMemoryDriver())],
  ["LangGraph's InMemoryStore", async () => new InMemoryStore()],
])("on %s", (_, open) => {
  test("examples are added, listed newest first, relabelled and removed", async () => {
    const examples = on(await open());
    await examples.add(ANA, [mail("a", "Chairs"), mail("b", "Tables")], "ignore", MONDAY);
    expect(await examples.relabel(ANA, "a", "notify", TUESDAY)).toMatchObject({ label: "notify", was: "ignore" });
    expect(await shown(examples)).toEqual([
      ["a", "notify", TUESDAY],
      ["b", "ignore", MONDAY],
    ]);
    expect((await examples.list(ANA))[0]?.record.email.body).toBe("Chairs");
    expect(await examples.remove(ANA, "b")).toMatchObject({ key: "b", label: "ignore" });
    expect(await shown(examples)).toEqual([["a", "notify", TUESDAY]]);
    expect(await examples.list("someone else")).toEqual([]);
  });

  test("an unknown key is said to be one, and nothing changes", async () => {
    const examples = on(await open());
    await examples.add(ANA, [mail("a", "Chairs")], "ignore", MONDAY);
    const unknown = { code: "input", message: 'example "x": ana@home.example has none of that key' };
    await expect(examples.relabel(ANA, "x", "notify", TUESDAY)).rejects.toMatchObject(unknown);
    await expect(examples.remove(ANA, "x")).rejects.toMatchObject(unknown);
    expect(await shown(examples)).toEqual([["a", "ignore", MONDAY]]);
  });

  test("the nearest are found by words alone, and leave out what they are told to", async () => {
    const examples = on(await open());
    await examples.add(ANA, [mail("a", "Chairs at half price"), mail("b", "Wedding music")], "ignore", MONDAY);
    const like = mail("c", "Chairs at full price");
    const found = await examples.nearest(ANA, [
      { email: like },
      { email: like, without: new Set(["a"]) },
      { email: mail("d", "Turbine") },
    ]);
    expect(found.map((each) => each.map(({ key }) => key))).toEqual([["a"], [], []]);
  });
});

test("an email added again gets the new label; another one of its id takes no place of it", async () => {
  const examples = on(await MnemailStore.open(createMemoryDriver()));
  await examples.add(ANA, [mail("a", "Chairs")], "ignore", MONDAY);
  expect(await examples.add(ANA, [mail("a", "Chairs")], "notify", TUESDAY)).toMatchObject([{ was: "ignore" }]);
  const added = await examples.add(
    ANA,
    [mail("a", "Forged"), mail("a", "Chairs"), mail("b", "x"), mail("b", "y")],
    "respond",
    TUESDAY,
  );
  expect(added.map(({ key }) => key.replace(/#.*/, "#"))).toEqual(["a#", "a", "b", "b#"]);
  expect(await examples.add(ANA, [mail("a", "Forged")], "ignore", TUESDAY)).toMatchObject([
    { key: added[0]?.key, was: "respond" },
  ]);
  expect(await examples.list(ANA)).toHaveLength(4);
});

test("an email has the key that triage gave it when another of its id was decided before", async () => {
  const store = await MnemailStore.open(createMemoryDriver());
  const decision = {
    email: mail("a", "Chairs"),
    label: "ignore",
    reason: "",
    draft: null,
    events: [],
    memories: [],
    at: MONDAY,
  };
  await store.put(userNamespaces(ANA).decisions, "a", { ...decision, prompts: [] }, false);
  const [added] = await on(store).add(ANA, [mail("a", "Forged")], "notify", MONDAY);
  expect(added?.key).toMatch(/^a#[0-9a-f]{8}$/);
});

test("relabels by two processes at once both count: the last one stands, and the email is whole", async () => {
  using folder = temporaryFolder();
  const stores = await Promise.all([1, 2].map(() => MnemailStore.open(openSqliteDriver(folder.path("m.db")))));
  const both = stores.map(on);
  await both[0]?.add(ANA, [mail("a", "Chairs")], "ignore", MONDAY);
  const labels: Label[] = ["notify", "respond", "notify", "respond"];
  const done = await Promise.all(labels.map((label, i) => both[i % 2]?.relabel(ANA, "a", label, TUESDAY)));
  // Each saw what another one left, so that their changes form one chain.
  const after = (await both[0]?.list(ANA))?.[0]?.record;
  const balance = new Map<string, number>([["ignore", 1]]);
  for (const each of done) {
    balance.set(each?.was ?? "", (balance.get(each?.was ?? "") ?? 0) - 1);
    balance.set(each?.label ?? "", (balance.get(each?.label ?? "") ?? 0) + 1);
  }
  expect([...balance].filter(([, left]) => left !== 0)).toEqual([[after?.label, 1]]);
  expect(after?.email.body).toBe("Chairs");
  await Promise.all(stores.map((store) => store.stop()));
});

test("embeddings are asked once for an email, and once for thirty-three of them", async () => {
  await using models = await openModels(loadConfig({ environment: {}, directory: "/" }));
  const { embeddings, embeddingModel: model } = models;
  const index = embeddings ? { index: { embeddings, model } } : {};
  const examples = on(await MnemailStore.open(createMemoryDriver(), index));
  const mails = Array.from({ length: 40 }, (_, i) => mail(`m${i}`, `Chairs number ${i} at half price`));
  const usage = (run: () => Promise<unknown>) => metered(async (used) => run().then(used));
  await usage(() => examples.add(ANA, mails, "ignore", MONDAY));
  const one = await usage(() => examples.nearest(ANA, [{ email: mail("q", "Chairs") }]));
  expect(one).toMatchObject({ embedding_calls: 1, store_round_trips: 1, model_calls: 0 });
  const queries = Array.from({ length: 34 }, (_, i) => ({ email: mail(`q${i}`, `Sofas number ${i}`) }));
  expect(await usage(() => examples.nearest(ANA, queries))).toMatchObject({ embedding_calls: 2, store_round_trips: 2 });
});

test("a label that was just corrected counts although thirty older copies of the email rank as high", async () => {
  const store = await MnemailStore.open(createMemoryDriver());
  const examples = on(store);
  const copies = Array.from({ length: 30 }, (_, i) =>
    mail(`k${String(i).padStart(2, "0")}`, "Build failed on main", "ci@x.example"),
  );
  await examples.add(ANA, copies, "ignore", MONDAY);
  const put = Date.now();
  await expect.poll(() => Date.now()).toBeGreaterThan(put);
  await examples.relabel(ANA, "k29", "respond", TUESDAY);
  const [found] = await examples.nearest(ANA, [{ email: mail("q", "Build failed on main", "ci@x.example") }]);
  expect(found?.map(({ key, record }) => [key, record.label])).toEqual([["k29", "respond"]]);
});
