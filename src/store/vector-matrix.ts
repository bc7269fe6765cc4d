import { createVectorMemory, type VectorMemory } from "./dot-products.ts";
import { Best, type RankedKey } from "./fusion.ts";

/** Vectors that are allocated together. */
const CHUNK = 16;
/** WebAssembly addresses 4 GiB. */
const MAX_BYTES = 2 ** 32 - 65_536;

/** One item; `slots` are the places of its vectors in the namespace, at least one. */
interface Item {
  key: string;
  slots: number[];
}

/** Slot i lies in chunk `chunks[i / CHUNK]` and belongs to `owners[i]`. */
interface Namespace {
  items: Map<string, Item>;
  owners: Item[];
  chunks: number[];
}

/**
 * The vectors of one store that are held in process, grouped by namespace (any text), for exact search by cosine
 * similarity at the speed at which memory can be read.
 *
 * All lie in one block of memory that grows up to a limit and does not shrink; what a namespace no longer needs
 * serves the next. At the limit, the namespaces that were used (`set`, `nearest`) least recently are forgotten whole,
 * which `size` tells: what is held of a namespace is all that was set, or nothing.
 */
export class VectorMatrix {
  readonly #dimensions: number;
  /** Floats from one vector to the next. */
  readonly #stride: number;
  /** Where chunks begin: after the query and the scores of as many vectors as may be held. */
  readonly #chunksAt: number;
  readonly #maxChunks: number;
  readonly #memory: () => VectorMemory;
  /** The least recently used first. */
  readonly #namespaces = new Map<string, Namespace>();
  readonly #free: number[] = [];
  #madeChunks = 0;

  /**
   * `limitBytes` bounds the memory for vectors (4 bytes per component, dimensions rounded up to a multiple of 16,
   * with room for the query and the scores); more than 4 GiB are not used. Nothing is allocated before the first
   * `set`. `createMemory` is for tests of a machine without WebAssembly.
   */
  constructor(
    { dimensions, limitBytes }: { dimensions: number; limitBytes: number },
    createMemory: () => VectorMemory = createVectorMemory,
  ) {
    this.#dimensions = dimensions;
    this.#stride = Math.max(1, Math.ceil(dimensions / 16)) * 16;
    const limit = Math.min(limitBytes, MAX_BYTES) / Float32Array.BYTES_PER_ELEMENT;
    this.#maxChunks = Math.max(0, Math.floor((limit - this.#stride) / (CHUNK * (this.#stride + 1))));
    this.#chunksAt = this.#stride + this.#maxChunks * CHUNK;
    let memory: VectorMemory | undefined;
    this.#memory = () => {
      memory ??= createMemory();
      return memory;
    };
  }

  /** How many vectors can be held at most. */
  get capacity(): number {
    return this.#maxChunks * CHUNK;
  }

  /** Bytes allocated. */
  get bytes(): number {
    return this.#madeChunks === 0 ? 0 : this.#memory().floats.byteLength;
  }

  /**
   * Replaces all vectors of one item, which may have several (one for each field); none removes it. The namespace is
   * made when it is not held. Vectors with a component that is not finite cannot be compared and are left out; zero
   * vectors score 0. The vectors are copied.
   *
   * Returns false when the namespace does not fit even with all others forgotten: then it is forgotten too, and the
   * caller compares its vectors by other means.
   *
   * @throws RangeError for a vector of other dimensions; nothing is changed.
   */
  set(namespace: string, key: string, vectors: readonly Float32Array[]): boolean {
    for (const vector of vectors) this.#expectDimensions(vector);
    const comparable = vectors.flatMap((vector) => {
      const length = lengthOf(vector);
      return Number.isFinite(length) ? [{ vector, length }] : [];
    });
    const held = this.#use(namespace) ?? { items: new Map(), owners: [], chunks: [] };
    this.#namespaces.set(namespace, held);
    const item = held.items.get(key) ?? { key, slots: [] };
    while (item.slots.length > comparable.length) this.#removeSlot(held, item);
    while (item.slots.length < comparable.length) {
      if (!this.#addSlot(held, item)) return false;
    }
    for (const [index, { vector, length }] of comparable.entries()) {
      this.#write(this.#slotAt(held, item.slots[index] ?? 0), vector, length);
    }
    if (comparable.length > 0) held.items.set(key, item);
    else held.items.delete(key);
    return true;
  }

  /** Frees the memory of a namespace for others. */
  forget(namespace: string): void {
    const held = this.#namespaces.get(namespace);
    if (!held) return;
    this.#namespaces.delete(namespace);
    // The last first, so that they are handed out again in the order in which they lie.
    for (const chunk of held.chunks.toReversed()) this.#free.push(chunk);
  }

  /** How many items of a namespace have a comparable vector; undefined when the namespace is not held. */
  size(namespace: string): number | undefined {
    return this.#namespaces.get(namespace)?.items.size;
  }

  /**
   * The items with the highest cosine similarity of their nearest vector to the query, best first, equal ones by key
   * in code units; at most `limit`, which may be Infinity, of those that `accepts`. Scores are summed in float32: right to 1e-5, so that equal
   * vectors may score 1.0000001. Empty when the namespace is not held or the query has a component that is not finite;
   * a query of zeros scores 0 with everything.
   *
   * @throws RangeError for a query of other dimensions.
   */
  nearest(
    namespace: string,
    query: Float32Array,
    limit: number,
    accepts: (key: string) => boolean = () => true,
  ): RankedKey[] {
    this.#expectDimensions(query);
    const held = this.#use(namespace);
    const length = lengthOf(query);
    if (!held || held.owners.length === 0 || !Number.isFinite(length)) return [];
    this.#write(0, query, length);
    return select(held.owners, this.#scores(held), new Best(limit), accepts);
  }

  /** Similarities to the query at position 0, by slot. */
  #scores({ chunks, owners }: Namespace): Float32Array {
    const memory = this.#memory();
    for (let from = 0; from < chunks.length; ) {
      const first = chunks[from] ?? 0;
      let to = from + 1;
      while (chunks[to] === first + to - from) to += 1;
      const count = Math.min(to * CHUNK, owners.length) - from * CHUNK;
      memory.dotProducts(0, this.#chunkAt(first), count, this.#stride, this.#stride + from * CHUNK);
      from = to;
    }
    return memory.floats.subarray(this.#stride, this.#stride + owners.length);
  }

  #expectDimensions({ length }: Float32Array): void {
    if (length !== this.#dimensions) {
      throw new RangeError(`a vector of ${length} dimensions where ${this.#dimensions} are held`);
    }
  }

  /** Marks a namespace as the one used last. */
  #use(namespace: string): Namespace | undefined {
    const held = this.#namespaces.get(namespace);
    if (!held) return undefined;
    this.#namespaces.delete(namespace);
    this.#namespaces.set(namespace, held);
    return held;
  }

  #addSlot(held: Namespace, item: Item): boolean {
    if (held.owners.length === held.chunks.length * CHUNK) {
      const chunk = this.#allocate();
      if (chunk === undefined) return false;
      held.chunks.push(chunk);
    }
    item.slots.push(held.owners.length);
    held.owners.push(item);
    return true;
  }

  /** The last vector of the namespace takes the place, so that no chunk has a hole. */
  #removeSlot(held: Namespace, item: Item): void {
    const slot = item.slots.pop() ?? 0;
    const last = held.owners.length - 1;
    const mover = held.owners.pop();
    if (mover && slot !== last) {
      const from = this.#slotAt(held, last);
      this.#memory().floats.copyWithin(this.#slotAt(held, slot), from, from + this.#stride);
      held.owners[slot] = mover;
      mover.slots[mover.slots.indexOf(last)] = slot;
    }
    if (last % CHUNK === 0) {
      const chunk = held.chunks.pop();
      if (chunk !== undefined) this.#free.push(chunk);
    }
  }

  /** A chunk for the namespace used last; if need be of those that were not used for longest, itself in the end. */
  #allocate(): number | undefined {
    for (const name of this.#namespaces.keys()) {
      const chunk = this.#free.pop() ?? this.#makeChunk();
      if (chunk !== undefined) return chunk;
      this.forget(name);
    }
    return undefined;
  }

  #makeChunk(): number | undefined {
    if (this.#madeChunks === this.#maxChunks) return undefined;
    const memory = this.#memory();
    const needed = this.#chunkAt(this.#madeChunks + 1);
    const ample = this.#chunkAt(Math.min(2 * (this.#madeChunks + 1), this.#maxChunks));
    if (memory.floats.length < needed && !memory.grow(ample) && !memory.grow(needed)) return undefined;
    this.#madeChunks += 1;
    return this.#madeChunks - 1;
  }

  #chunkAt(chunk: number): number {
    return this.#chunksAt + chunk * CHUNK * this.#stride;
  }

  #slotAt({ chunks }: Namespace, slot: number): number {
    return this.#chunkAt(chunks[Math.floor(slot / CHUNK)] ?? 0) + (slot % CHUNK) * this.#stride;
  }

  /** Writes a vector at length 1; what pads it stays 0, as does a zero vector. */
  #write(at: number, vector: Float32Array, length: number): void {
    const { floats } = this.#memory();
    const scale = length === 0 ? 0 : 1 / length;
    for (let i = 0; i < vector.length; i += 1) floats[at + i] = (vector[i] ?? 0) * scale;
  }
}

/** Euclidean; not finite exactly when a component is not, since squares of float32 do not overflow a double. */
function lengthOf(vector: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < vector.length; i += 1) {
    const x = vector[i] ?? 0;
    sum += x * x;
  }
  return Math.sqrt(sum);
}

/** The items of the highest scores; only those that come into question are asked whether they are accepted. */
function select(
  owners: readonly Item[],
  scores: Float32Array,
  best: Best,
  accepts: (key: string) => boolean,
): RankedKey[] {
  for (let slot = 0; slot < owners.length; slot += 1) {
    const score = scores[slot] ?? 0;
    const item = owners[slot];
    if (!item || !best.admits(item.key, score)) continue;
    if (item.slots.length > 1 && nearestSlot(item, scores) !== slot) continue;
    if (accepts(item.key)) best.add(item.key, score);
  }
  return best.sorted();
}

function nearestSlot({ slots }: Item, scores: Float32Array): number {
  return slots.reduce((best, slot) => ((scores[slot] ?? 0) > (scores[best] ?? 0) ? slot : best));
}
