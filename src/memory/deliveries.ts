import { randomUUID } from "node:crypto";
import type { Item } from "@langchain/langgraph-checkpoint";
import { z } from "zod";
import type { Email } from "../email.ts";
import { hashText } from "../prompts.ts";
import { userNamespaces } from "../store/namespaces.ts";
import type { ConditionalPut } from "../store/operations.ts";
import type { JsonObject } from "../store/row-driver.ts";
import type { StoreAccess } from "./access.ts";
import { canonicalJson } from "./canonical-json.ts";
import { timeToLive } from "./episodic.ts";

/** Whoever took an email and is silent for so long has died: the next delivery handles it. */
const CLAIM_MS = 10 * 60_000;
/** No mail server tries again after so long. */
const KEPT_DAYS = 30;

const deliverySchema = z.discriminatedUnion("status", [
  z.looseObject({ status: z.literal("running"), by: z.string(), until: z.iso.datetime() }),
  z.looseObject({ status: z.literal("done"), at: z.iso.datetime() }),
]);

/** A delivery that its holder is to handle, and then to finish or to release. */
export interface Claim {
  status: "claimed";
  key: string;
  stored: JsonObject;
}

/**
 * Which emails were delivered: an email that comes twice, also at once, is handled once. Two emails are the same where
 * all of them is. Methods throw MnemailError("store") when the store fails.
 */
export class Deliveries {
  readonly #access: StoreAccess;

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /** Takes an email to handle it, for ten minutes; or tells that somebody does, or did. */
  async claim(userId: string, email: Email, now: Date): Promise<Claim | { status: "running" | "done" }> {
    const key = hashText(canonicalJson({ ...email }), 32);
    const { deliveries: namespace } = userNamespaces(userId);
    return this.#access.repeat(userId, async () => {
      const [item] = await this.#access.batch([{ namespace, key }]);
      const found = readDelivery(item);
      const isTaken = found?.status === "running" && Date.parse(found.until) > now.getTime();
      if (isTaken || found?.status === "done") return { status: found.status };
      const until = new Date(now.getTime() + CLAIM_MS).toISOString();
      const value = { status: "running", by: randomUUID(), until };
      const put = { ...place(userId, key), value, expected: item?.value ?? null };
      return (await this.#access.putIf([put])) ? { status: "claimed", key, stored: value } : undefined;
    });
  }

  /** Says that an email was handled, unless its claim ran out and somebody else took it. */
  async finish(userId: string, { key, stored }: Claim, now: Date): Promise<void> {
    const value = { status: "done", at: now.toISOString() };
    await this.#access.putIf([{ ...place(userId, key), value, expected: stored }]);
  }

  /** Gives an email back whose handling failed, so that the next delivery handles it. */
  async release(userId: string, { key, stored }: Claim): Promise<void> {
    await this.#access.putIf([{ ...place(userId, key), value: null, expected: stored }]);
  }
}

function place(userId: string, key: string): Pick<ConditionalPut, "namespace" | "key" | "index" | "ttlMinutes"> {
  return { namespace: userNamespaces(userId).deliveries, key, index: false, ...timeToLive(KEPT_DAYS) };
}

function readDelivery(item: Item | null): z.infer<typeof deliverySchema> | undefined {
  return deliverySchema.safeParse(item?.value).data;
}
