import type { Item } from "@langchain/langgraph-checkpoint";
import { addressList } from "../email.ts";
import { MnemailError } from "../errors.ts";
import type { Prompts } from "../prompts.ts";
import { userNamespaces, userRoots } from "../store/namespaces.ts";
import { isBelow } from "../store/row-driver.ts";
import type { ThreadSource } from "../store/threads.ts";
import type { StoreAccess } from "./access.ts";
import { sortItems } from "./forget-items.ts";
import { type ForgetPlan, type ForgetTombstone, forgetTombstoneSchema, planForgetting } from "./forget-plan.ts";
import { tracedThreads } from "./forget-threads.ts";
import { type ForgetTarget, findTraces, type Traces } from "./forget-traces.ts";
import { PROFILE_KEY, readProfile } from "./profile.ts";

const ATTEMPTS = 20;

/**
 * Forgetting of one contact, email or memory with everything that was made from it. `threads` are those that a
 * checkpointer keeps, where it keeps any.
 *
 * Methods throw MnemailError("store") when the store or the threads fail.
 */
export class Forgetting {
  readonly #access: StoreAccess;
  readonly #prompts: Prompts;
  readonly #threads: ThreadSource | undefined;

  constructor(access: StoreAccess, prompts: Prompts, threads?: ThreadSource) {
    this.#access = access;
    this.#prompts = prompts;
    this.#threads = threads;
  }

  /**
   * What forgetting would do, at a time (ISO 8601). Nothing is changed.
   *
   * @throws MnemailError("usage") for a contact that is no address or the user's own; MnemailError("input") where
   * nothing is kept of the target.
   */
  async plan(userId: string, target: ForgetTarget, time: string): Promise<ForgetPlan> {
    const plan = await this.#plan(userId, checkTarget(target), time);
    if (plan.puts.length === 0) throw unknownTarget(userId, target);
    return plan;
  }

  /**
   * Forgets, and returns what went. All items change in one conditional write; who finds something changed, or added,
   * looks again. The threads are deleted next: their ids are in the tombstone until then, so that {@link finish} does
   * what a crash kept from being done. What was removed is still in the files of a database until these are erased.
   *
   * @throws as {@link plan}; nothing was changed then.
   */
  async forget(userId: string, target: ForgetTarget, time: string): Promise<ForgetPlan> {
    const wanted = checkTarget(target);
    // The turn that learning takes too, so that neither makes the other's conditional puts fail.
    return this.#access.inTurn(`learn ${userId}`, async () => {
      let done: ForgetPlan | undefined;
      for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
        const plan = await this.#plan(userId, wanted, time, done?.traces);
        if (plan.puts.length === 0) {
          if (done) return done;
          throw unknownTarget(userId, target);
        }
        if (!(await this.#access.putIf(plan.puts))) continue;
        done = done ? join(done, plan) : plan;
        await this.finish(userId);
      }
      throw new MnemailError("store", `memory changed ${ATTEMPTS} times while it was updated`, "try again");
    });
  }

  /** Deletes the threads that an earlier forgetting was kept from deleting; tells whether its files are to be erased. */
  async finish(userId: string): Promise<boolean> {
    const begun = await this.#unerased(userId);
    for (const { item, tombstone } of begun) {
      const { threads = [], ...value } = tombstone;
      if (threads.length === 0) continue;
      for (const threadId of threads) await this.#threads?.checkpointer.deleteThread(threadId);
      await this.#access.batch([{ namespace: item.namespace, key: item.key, value, index: false }]);
    }
    return begun.length > 0;
  }

  /** Notes that the files were erased. */
  async noteErased(userId: string): Promise<void> {
    const puts = (await this.#unerased(userId)).map(({ item: { namespace, key }, tombstone }) => ({
      ...{ namespace, key, value: { ...tombstone, erased: true } },
      index: false as const,
    }));
    if (puts.length > 0) await this.#access.batch(puts);
  }

  async #unerased(userId: string): Promise<{ item: Item; tombstone: ForgetTombstone }[]> {
    const items = await this.#access.all(userNamespaces(userId).tombstones);
    return items.flatMap((item) => {
      const tombstone = forgetTombstoneSchema.safeParse(item.value).data;
      return tombstone?.erased === false ? [{ item, tombstone }] : [];
    });
  }

  async #plan(userId: string, target: ForgetTarget, time: string, known?: Traces): Promise<ForgetPlan> {
    const items: Item[] = [];
    for (const root of Object.values(userRoots(userId))) {
      // Some stores match prefixes as text, and would find `user10` below `user1`.
      items.push(...(await this.#access.all(root)).filter(({ namespace }) => isBelow(namespace, root)));
    }
    const user = sortItems(userNamespaces(userId), items);
    if (target.what === "contact") refuseOwn(target.id, userId, user.profile);
    const traces = findTraces(user, target, known);
    const threads = this.#threads ? await tracedThreads(this.#threads, userId, traces) : [];
    const { isConditional } = this.#access;
    return planForgetting({ userId, items, traces, threads, prompts: this.#prompts, isConditional, time });
  }
}

/** What was done in two steps. */
function join(first: ForgetPlan, second: ForgetPlan): ForgetPlan {
  return {
    ...second,
    removed: [...first.removed, ...second.removed],
    rewritten: [...first.rewritten, ...second.rewritten],
    threads: [...first.threads, ...second.threads],
    puts: [...first.puts, ...second.puts],
    unindexed: first.unindexed + second.unindexed,
  };
}

/** @throws MnemailError("usage") for an id that cannot be one. */
function checkTarget({ what, id }: ForgetTarget): ForgetTarget {
  if (what !== "contact") {
    if (id.trim() !== "") return { what, id };
    throw new MnemailError("usage", `${what}: saw an empty id`, "`mnemail memory show` prints the ids");
  }
  const [address, ...others] = addressList(id);
  if (address !== undefined && others.length === 0) return { what, id: address };
  throw new MnemailError(
    "usage",
    `contact: saw ${JSON.stringify(id)}; expected one address`,
    "such as ada@example.com",
  );
}

/** @throws MnemailError("usage") for an address of the user. */
function refuseOwn(address: string, userId: string, profile: readonly Item[]): void {
  const { addresses } = readProfile(profile.find(({ key }) => key === PROFILE_KEY)?.value);
  if (![userId.toLowerCase(), ...addresses].includes(address)) return;
  const hint = "`mnemail memory drop` removes everything that is kept about a user";
  throw new MnemailError("usage", `contact: ${address} is the user's own address; nothing was forgotten`, hint);
}

function unknownTarget(userId: string, { what, id }: ForgetTarget): MnemailError {
  const hint = `\`mnemail memory show --user ${userId}\` prints what is kept`;
  return new MnemailError("input", `${what} ${JSON.stringify(id)}: nothing is kept of it for ${userId}`, hint);
}
