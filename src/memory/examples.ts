import { MnemailError } from "../errors.ts";
import { type UserNamespaces, userNamespaces } from "../store/namespaces.ts";
import type { StoreAccess } from "./access.ts";
import { chooseExamples, type Neighbour } from "./example-choice.ts";
import { type ComparedEmail, decisionRecordSchema, type KeptEmail, type Label } from "./records.ts";
import { type Example, examplePut, exampleSearches, readExamples, similarityText, suffixedId } from "./semantic.ts";

/** One batch is one call of the embeddings; an email takes three searches. */
const EMAILS_PER_BATCH = 33;

/** An example that was put; `was` is the label it had before. */
export interface PutExample {
  key: string;
  subject: string;
  label: Label;
  was?: Label;
}

/**
 * The semantic memory of all users: emails whose label the user gave. Methods throw MnemailError("store") when the
 * store fails.
 */
export class Examples {
  readonly #access: StoreAccess;

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /** All examples of a user, newest first. */
  async list(userId: string): Promise<Example[]> {
    const examples = readExamples(await this.#access.all(userNamespaces(userId).examples));
    return examples.sort((a, b) => compare(b.record.at, a.record.at) || compare(a.key, b.key));
  }

  /** The example of a key, or undefined when the user has none. */
  async find(userId: string, key: string): Promise<Example | undefined> {
    const [item] = await this.#access.batch([{ namespace: userNamespaces(userId).examples, key }]);
    return readExamples(item ? [item] : [])[0];
  }

  /**
   * Makes emails examples with a label. One that is an example already gets the label; one that bears the id of
   * another email gets the suffix that triage gives it, and takes no other's place.
   */
  async add(userId: string, emails: readonly KeptEmail[], label: Label, at: string): Promise<PutExample[]> {
    const namespaces = userNamespaces(userId);
    const added: PutExample[] = [];
    for (const some of inBatches(emails)) {
      added.push(
        ...(await this.#access.inTurn(turnOf(userId), async () => {
          const known = await this.#known(namespaces, some);
          await this.#access.batch(known.map(({ email }) => examplePut(namespaces, email, label, at)));
          return known.map(({ email, was }) => ({
            ...{ key: email.id, subject: email.subject, label },
            ...(was === undefined ? {} : { was }),
          }));
        })),
      );
    }
    return added;
  }

  /**
   * Gives an example another label, as of now.
   *
   * @throws MnemailError("input") when the user has no such example.
   */
  async relabel(userId: string, key: string, label: Label, at: string): Promise<PutExample> {
    return this.#change(userId, key, (example) => ({ ...example.record, label, at }), label);
  }

  /** Removes an example and returns it as it was. @throws MnemailError("input") when the user has no such example. */
  async remove(userId: string, key: string): Promise<PutExample> {
    return this.#change(userId, key, () => null);
  }

  /**
   * For each email the examples that triage would be shown for it, nearest first, without those of the keys given.
   * One round trip and one call of the embeddings for 33 emails; `onProgress` is told after each how many are done.
   */
  async nearest(
    userId: string,
    emails: readonly { email: ComparedEmail; without?: ReadonlySet<string> }[],
    onProgress: (done: number) => void = () => {},
  ): Promise<Neighbour[][]> {
    const namespaces = userNamespaces(userId);
    const chosen: Neighbour[][] = [];
    for (const some of inBatches(emails)) {
      const searches = some.map(({ email }) => exampleSearches(namespaces, email));
      const found = await this.#access.batch(searches.flat());
      let at = 0;
      for (const [i, { email, without }] of some.entries()) {
        const width = searches[i]?.length ?? 0;
        chosen.push(chooseExamples(email, found.slice(at, at + width), without ? { without } : {}));
        at += width;
      }
      onProgress(chosen.length);
    }
    return chosen;
  }

  /** Whoever finds the example changed meanwhile reads it again. */
  async #change(
    userId: string,
    key: string,
    change: (example: Example) => Example["record"] | null,
    label?: Label,
  ): Promise<PutExample> {
    const { examples: namespace } = userNamespaces(userId);
    return this.#access.repeat(userId, async () => {
      const [item] = await this.#access.batch([{ namespace, key }]);
      const [example] = readExamples(item ? [item] : []);
      if (!item || !example) throw unknownExample(userId, key);
      const put = { namespace, key, value: change(example), index: ["email"], expected: item.value };
      const { email, label: was } = example.record;
      return (await this.#access.putIf([put])) ? { key, subject: email.subject, label: label ?? was, was } : undefined;
    });
  }

  /** Emails under the keys they have or get as examples, each key once, with the label they have there. */
  async #known(namespaces: UserNamespaces, emails: readonly KeptEmail[]) {
    const ids = [...new Set(emails.map(({ id }) => id))];
    const keys = [...new Set([...ids, ...emails.map(suffixedId)])];
    const items = await this.#access.batch([
      ...ids.map((key) => ({ namespace: namespaces.decisions, key })),
      ...keys.map((key) => ({ namespace: namespaces.examples, key })),
    ]);
    const decided = ids.flatMap((id, i): [string, ComparedEmail][] => {
      const decision = decisionRecordSchema.safeParse(items[i]?.value).data;
      return decision ? [[id, decision.email]] : [];
    });
    const kept = readExamples(items.slice(ids.length).filter((item) => item !== null));
    // Where both are there, triage goes by the decision.
    const owners = new Map([
      ...kept.map(({ key, record }): [string, ComparedEmail] => [key, record.email]),
      ...decided,
    ]);
    const labels = new Map(kept.map(({ key, record }) => [key, record.label]));
    const distinct = new Map<string, KeptEmail>();
    for (const email of emails) {
      const owner = owners.get(email.id) ?? email;
      owners.set(email.id, owner);
      const key = similarityText(owner) === similarityText(email) ? email.id : suffixedId(email);
      distinct.set(key, { ...email, id: key });
    }
    return [...distinct.values()].map((email) => ({ email, was: labels.get(email.id) }));
  }
}

function* inBatches<T>(all: readonly T[]): Generator<T[]> {
  for (let at = 0; at < all.length; at += EMAILS_PER_BATCH) yield all.slice(at, at + EMAILS_PER_BATCH);
}

/** The turn that learning takes too, so that neither makes the other's conditional puts fail. */
function turnOf(userId: string): string {
  return `learn ${userId}`;
}

function unknownExample(userId: string, key: string): MnemailError {
  const hint = `\`mnemail memory examples list --user ${userId}\` prints the keys`;
  return new MnemailError("input", `example ${JSON.stringify(key)}: ${userId} has none of that key`, hint);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
