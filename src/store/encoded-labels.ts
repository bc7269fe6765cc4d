import {
  BaseStore,
  type Item,
  type Operation,
  type OperationResults,
  type SearchItem,
} from "@langchain/langgraph-checkpoint";
import { isListNamespaces, selectNamespaces, validateAddress, validatePrefix } from "./operations.ts";

/** What LangGraph's `PostgresStore` refuses in a label, what it puts between labels, and our own mark. */
const ENCODED = /[%_\\:~]/g;
/** Ends every label. No encoded label begins with another one, so a textual prefix matches whole labels only. */
const END = "~~";

/**
 * Encodes a label reversibly as text without `% _ \ :`, in which no label is the beginning of another one:
 * `email_assistant` becomes `email~5Fassistant~~`.
 */
export function encodeLabel(label: string): string {
  const text = label.replace(ENCODED, (character) => `~${character.charCodeAt(0).toString(16).toUpperCase()}`);
  return `${text}${END}`;
}

/** The label that {@link encodeLabel} encoded; undefined for text that it did not make. */
export function decodeLabel(text: string): string | undefined {
  const label = text
    .slice(0, -END.length)
    .replace(/~([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return encodeLabel(label) === text ? label : undefined;
}

/**
 * Lets a store that refuses some labels, or matches prefixes as text, keep any of LangGraph's namespaces: labels are
 * encoded on the way in and decoded on the way out, so a search below `user1` finds nothing of `user10`, and limits
 * and offsets count right. `listNamespaces` follows LangGraph's contract whatever the store makes of wildcards and
 * depth. The searches of a batch run before the rest of it, each by the store's own `search`. All else is the
 * store's own behaviour. What was written to the store by others, without this encoding, is
 * not seen. The store is started before its first use, once, however many ask at a time.
 */
export function encodeLabels(store: BaseStore): BaseStore {
  return new LabelEncodingStore(store);
}

const adapted = new WeakMap<BaseStore, BaseStore>();

/**
 * The store as memory uses it: LangGraph's `PostgresStore`, which refuses the root of our namespaces, behind
 * {@link encodeLabels}, always by the same adapter; any other store as it is.
 */
export function adaptStore(store: BaseStore): BaseStore {
  if (!isUpstreamPostgresStore(store)) return store;
  const known = adapted.get(store) ?? encodeLabels(store);
  adapted.set(store, known);
  return known;
}

/**
 * Whether a store is LangGraph's `PostgresStore`. Told by its name and its methods: importing the class would load
 * `pg` for everyone, and a project that has two copies of the package (or its CommonJS build) has two classes.
 */
export function isUpstreamPostgresStore(store: BaseStore): boolean {
  const hasMethods = ["setup", "sweepExpiredItems", "vectorSearch"].every(
    (name) => typeof Reflect.get(store, name) === "function",
  );
  if (!hasMethods) return false;
  for (let at: unknown = Reflect.getPrototypeOf(store); at instanceof Object; at = Reflect.getPrototypeOf(at)) {
    if (at.constructor.name === "PostgresStore") return true;
  }
  return false;
}

class LabelEncodingStore extends BaseStore {
  readonly #store: BaseStore;
  #started: Promise<void> | undefined;

  constructor(store: BaseStore) {
    super();
    this.#store = store;
  }

  override async batch<Op extends Operation[]>(operations: Op): Promise<OperationResults<Op>> {
    const encoded = operations.map(encodeOperation);
    await this.start();
    // Upstream's batch runs a query without an index on a second connection while it holds the first one: ten at
    // once wait for each other for ever. Its search() does not, and has the newest update first.
    const found = await Promise.all(
      encoded.map((op) => ("namespacePrefix" in op ? this.#store.search(op.namespacePrefix, op) : undefined)),
    );
    const others = encoded.filter((op) => !("namespacePrefix" in op));
    const rest: Result[] = others.length > 0 ? await this.#store.batch(others) : [];
    const results = rest.values();
    return operations.map((op, i) => decodeResult(op, found[i] ?? results.next().value)) as OperationResults<Op>;
  }

  override async start(): Promise<void> {
    // Upstream sets itself up within each first call, and calls at the same time break each other's tables.
    this.#started ??= Promise.resolve(this.#store.start()).catch((error: unknown) => {
      this.#started = undefined;
      throw error;
    });
    await this.#started;
  }

  override async stop(): Promise<void> {
    await this.#store.stop();
  }

  /** The store's own `setup()`, where it has one. */
  async setup(): Promise<void> {
    if ("setup" in this.#store && typeof this.#store.setup === "function") await this.#store.setup();
  }
}

function encodeOperation(op: Operation): Operation {
  if ("namespacePrefix" in op) {
    validatePrefix(op.namespacePrefix);
    return { ...op, namespacePrefix: op.namespacePrefix.map(encodeLabel) };
  }
  if (!("key" in op)) {
    // All namespaces below the labels that are certain; the rest is decided here (`decodeResult`).
    const paths = (op.matchConditions ?? []).filter(({ matchType }) => matchType === "prefix").map(({ path }) => path);
    const certain = paths.map((path) => path.slice(0, path.includes("*") ? path.indexOf("*") : path.length));
    const matchConditions = certain
      .filter((path) => path.length > 0)
      .map((path) => ({ matchType: "prefix" as const, path: path.map(encodeLabel) }));
    return { matchConditions, limit: Number.MAX_SAFE_INTEGER, offset: 0 };
  }
  validateAddress(op.namespace, op.key);
  return { ...op, namespace: op.namespace.map(encodeLabel) };
}

type Result = Item | null | undefined | (SearchItem | string[])[];

function decodeResult(op: Operation, result: Result): Result {
  if (!Array.isArray(result)) return result ? (decodeItem(result)[0] ?? null) : result;
  if (!isListNamespaces(op)) return result.flatMap((each) => (Array.isArray(each) ? [] : decodeItem(each)));
  return selectNamespaces(
    result.flatMap((each) => (Array.isArray(each) ? decodeNamespace(each) : [])),
    op,
  );
}

/** None for an item that was written without this encoding. */
function decodeItem<T extends Item>(item: T): T[] {
  return decodeNamespace(item.namespace).map((namespace) => ({ ...item, namespace }));
}

function decodeNamespace(namespace: readonly string[]): string[][] {
  const labels = namespace.map(decodeLabel).filter((label) => label !== undefined);
  return labels.length === namespace.length ? [labels] : [];
}
