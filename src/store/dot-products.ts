/** WebAssembly as far as it is used here: the compiler's own types of it come with those of the browser. */
declare const WebAssembly:
  | {
      validate(bytes: Uint8Array): boolean;
      Module: new (bytes: Uint8Array) => object;
      Instance: new (
        module: object,
      ) => {
        /** Those of `dot-products.wat`, the only module there is. */
        readonly exports: {
          readonly memory: { readonly buffer: ArrayBuffer; grow(pages: number): number };
          dot_products(query: number, vectors: number, count: number, size: number, out: number): void;
        };
      };
    }
  | undefined;

/** `dot-products.wat` compiled, in base64, since the package ships JavaScript only; a test compiles it again. */
export const DOT_PRODUCTS_WASM = [
  "AGFzbQEAAAABCQFgBX9/f39/AAMCAQAFAwEAAAcZAgZtZW1vcnkCAAxkb3RfcHJvZHVjdHMAAAqWAgGTAgICfwR7IAAgA2ohBgNA",
  "IAAhBf0MAAAAAAAAAAAAAAAAAAAAACEH/QwAAAAAAAAAAAAAAAAAAAAAIQj9DAAAAAAAAAAAAAAAAAAAAAAhCf0MAAAAAAAAAAAA",
  "AAAAAAAAACEKA0AgByAF/QAEACAB/QAEAP3mAf3kASEHIAggBf0ABBAgAf0ABBD95gH95AEhCCAJIAX9AAQgIAH9AAQg/eYB/eQB",
  "IQkgCiAF/QAEMCAB/QAEMP3mAf3kASEKIAFBwABqIQEgBUHAAGoiBSAGRw0ACyAHIAn95AEgCCAK/eQB/eQBIQcgBCAH/R8AIAf9",
  "HwKSIAf9HwEgB/0fA5KSOAIAIARBBGohBCACQQFrIgINAAsL",
].join("");

const PAGE_BYTES = 65_536;
const FLOAT_BYTES = Float32Array.BYTES_PER_ELEMENT;
/** How many sums the kernel adds up side by side; `dimensions` must be a multiple of it. */
const LANES = 16;

/** Floats that grow in place, with dot products among them. All positions and lengths count floats. */
export interface VectorMemory {
  /** All of it, zero where nothing was written; another array after each `grow`. */
  readonly floats: Float32Array;
  /** Makes it at least `length` long; false, and nothing changed, when there is not that much memory. */
  grow(length: number): boolean;
  /**
   * Writes the dot products of the vector at `query` with the `count` vectors from `vectors` on to `out`, summed in
   * float32. `dimensions` is a multiple of 16; it and `count` are above 0.
   */
  dotProducts(query: number, vectors: number, count: number, dimensions: number, out: number): void;
}

/** An empty memory that computes with WebAssembly SIMD, or in plain JS where that is missing (`--jitless`, old CPUs). */
export function createVectorMemory(): VectorMemory {
  return createWasmVectorMemory() ?? createPlainVectorMemory();
}

/**
 * As fast as memory can be read; undefined where WebAssembly or its SIMD is missing, or there is no address space:
 * V8 reserves gigabytes of it for each memory, so make few.
 */
export function createWasmVectorMemory(): VectorMemory | undefined {
  const bytes = Buffer.from(DOT_PRODUCTS_WASM, "base64");
  if (typeof WebAssembly === "undefined" || !WebAssembly.validate(bytes)) return undefined;
  try {
    const { memory, dot_products } = new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports;
    let floats = new Float32Array(memory.buffer);
    return {
      get floats() {
        return floats;
      },
      grow: (length) =>
        allocated(() => {
          const pages = Math.ceil(((length - floats.length) * FLOAT_BYTES) / PAGE_BYTES);
          if (pages > 0) memory.grow(pages);
          floats = new Float32Array(memory.buffer);
        }),
      dotProducts: (query, vectors, count, dimensions, out) =>
        dot_products(query * FLOAT_BYTES, vectors * FLOAT_BYTES, count, dimensions * FLOAT_BYTES, out * FLOAT_BYTES),
    };
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

/** The same in plain JS, some ten times slower: the same sums in the same order, so that results are equal bit by bit. */
export function createPlainVectorMemory(): VectorMemory {
  let floats = new Float32Array();
  const sums = new Float32Array(LANES);
  return {
    get floats() {
      return floats;
    },
    grow: (length) =>
      allocated(() => {
        if (length <= floats.length) return;
        const larger = new Float32Array(length);
        larger.set(floats);
        floats = larger;
      }),
    dotProducts(query, vectors, count, dimensions, out) {
      for (let i = 0; i < count; i += 1) {
        const vector = vectors + i * dimensions;
        sums.fill(0);
        for (let at = 0; at < dimensions; at += 1) {
          const product = Math.fround((floats[query + at] ?? 0) * (floats[vector + at] ?? 0));
          sums[at % LANES] = (sums[at % LANES] ?? 0) + product;
        }
        for (let half = LANES / 2; half >= 1; half /= 2) {
          for (let lane = 0; lane < half; lane += 1) sums[lane] = (sums[lane] ?? 0) + (sums[lane + half] ?? 0);
        }
        floats[out + i] = sums[0] ?? 0;
      }
    },
  };
}

function allocated(allocate: () => void): boolean {
  try {
    allocate();
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}
