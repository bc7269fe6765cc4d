import { describe, expect, test } from "vitest";
import { Memory } from "../../src/memory/memory.ts";
import { loadPrompts } from "../../src/prompts.ts";
import { openStore } from "../../src/store/open-store.ts";
import { email, temporaryFolder } from "../support/assistant.ts";

const question = email({ id: "a@work.example", body: "Could you help?" });
const at = (minutes: number) => new Date(Date.UTC(2026, 2, 6, 9, minutes));

async function openDeliveries(path: string) {
  const store = await openStore({ backend: "sqlite", path });
  return { store, deliveries: new Memory(store, loadPrompts()).deliveries };
}

describe("what was delivered", () => {
  test("is taken by one of many, of several processes too, and is done once", async () => {
    using folder = temporaryFolder();
    const one = await openDeliveries(folder.path("memory.db"));
    const two = await openDeliveries(folder.path("memory.db"));
    const taken = await Promise.all(
      Array.from({ length: 20 }, (_, i) => (i % 2 ? one : two).deliveries.claim("ana", question, at(0))),
    );
    const claims = taken.filter((each) => each.status === "claimed");
    expect(claims).toHaveLength(1);
    for (const claim of claims) await one.deliveries.finish("ana", claim, at(1));
    expect(await two.deliveries.claim("ana", question, at(60))).toEqual({ status: "done" });
    expect(await two.deliveries.claim("ben", question, at(60))).toMatchObject({ status: "claimed" });
    const other = { ...question, body: "Could you help, please?" };
    expect(await two.deliveries.claim("ana", other, at(60))).toMatchObject({ status: "claimed" });
    await Promise.all([one.store.stop(), two.store.stop()]);
  });

  test("is given to the next after a failure, and ten minutes after its process died; then the first has no say", async () => {
    using folder = temporaryFolder();
    const { store, deliveries } = await openDeliveries(folder.path("memory.db"));
    const failed = await deliveries.claim("ana", question, at(0));
    if (failed.status === "claimed") await deliveries.release("ana", failed);
    const died = await deliveries.claim("ana", question, at(1));
    expect(died.status).toBe("claimed");
    expect(await deliveries.claim("ana", question, at(10))).toEqual({ status: "running" });
    const next = await deliveries.claim("ana", question, at(11));
    expect(next.status).toBe("claimed");
    if (died.status === "claimed") {
      await deliveries.finish("ana", died, at(12));
      await deliveries.release("ana", died);
    }
    expect(await deliveries.claim("ana", question, at(12))).toEqual({ status: "running" });
    await store.stop();
  });

  test("is kept as a hash, without a word of it", async () => {
    using folder = temporaryFolder();
    const { store, deliveries } = await openDeliveries(folder.path("memory.db"));
    const claim = await deliveries.claim("ana", question, at(0));
    if (claim.status === "claimed") await deliveries.finish("ana", claim, at(1));
    const [item, ...others] = await store.search(["email_assistant", "ana", "deliveries"]);
    expect(others).toEqual([]);
    expect(item?.value).toEqual({ status: "done", at: at(1).toISOString() });
    expect(item?.key).toMatch(/^[0-9a-f]{32}$/);
    await store.stop();
  });
});
