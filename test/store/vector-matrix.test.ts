import { readFileSync } from "node:fs";
import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import wabt from "wabt";
import {
  createPlainVectorMemory,
  createVectorMemory,
  createWasmVectorMemory,
  DOT_PRODUCTS_WASM,
  type VectorMemory,
} from "../../src/store/dot-products.ts";
import { VectorMatrix } from "../../src/store/vector-matrix.ts";

const AMPLE = 64 * 1_024 * 1_024;
const kernels: [string, () => VectorMemory][] = [
  ["WebAssembly SIMD", wasmMemory],
  ["plain JS", createPlainVectorMemory],
];

afterEach(() => vi.unstubAllGlobals());

describe("the kernel", () => {
  test("its bytes are those of its text source", async () => {
    const source = readFileSync("src/store/dot-products.wat", "utf8");
    const module = (await wabt()).parseWat("dot-products.wat", source, { simd: true });
    module.validate();
    const bytes = module.toBinary({}).buffer;
    module.destroy();
    expect(DOT_PRODUCTS_WASM).toBe(Buffer.from(bytes).toString("base64"));
  });

  test("WebAssembly and plain JS give the same scores bit by bit", () => {
    const dimensions = 1_536;
    const vectors = gaussianVectors(100, dimensions, 1);
    const [wasm, plain] = kernels.map(([, createMemory]) => {
      const matrix = new VectorMatrix({ dimensions, limitBytes: AMPLE }, createMemory);
      for (const [index, vector] of vectors.entries()) matrix.set("n", `${index}`, [vector]);
      return vectors.slice(0, 20).map((query) => matrix.nearest("n", query, Number.POSITIVE_INFINITY));
    });
    expect(plain).toEqual(wasm);
  });

  test.each([
    ["without WebAssembly", undefined],
    ["without SIMD", { validate: () => false }],
  ])("%s it is plain JS", (_, replacement) => {
    vi.stubGlobal("WebAssembly", replacement);
    expect(createWasmVectorMemory()).toBeUndefined();
    const memory = createVectorMemory();
    expect(memory.grow(48)).toBe(true);
    memory.floats.fill(2, 0, 32);
    memory.dotProducts(0, 16, 1, 16, 32);
    expect(memory.floats[32]).toBe(64);
  });

  test.each(kernels)("%s keeps what was written when it grows, and says when it cannot", (_, createMemory) => {
    const memory = createMemory();
    expect(memory.grow(10)).toBe(true);
    memory.floats[9] = 7;
    expect(memory.grow(100_000)).toBe(true);
    expect(memory.floats.length).toBeGreaterThanOrEqual(100_000);
    expect([memory.floats[9], memory.floats[99_999]]).toEqual([7, 0]);
    expect(memory.grow(2 ** 40)).toBe(false);
    expect(memory.floats[9]).toBe(7);
  });
});

describe("nearest", () => {
  test.each(kernels)("%s: the cosine similarity of 1,536 dimensions within 1e-5", (_, createMemory) => {
    const dimensions = 1_536;
    const matrix = new VectorMatrix({ dimensions, limitBytes: AMPLE }, createMemory);
    const vectors = new Map(gaussianVectors(300, dimensions, 2).map((vector, index) => [`${index}`, vector]));
    for (const [key, vector] of vectors) matrix.set("n", key, [vector]);
    const [query = new Float32Array(dimensions)] = gaussianVectors(1, dimensions, 3);
    const found = matrix.nearest("n", query, Number.POSITIVE_INFINITY);
    expect(found).toHaveLength(300);
    for (const { key, score } of found) {
      expect(Math.abs(score - cosine(vectors.get(key) ?? query, query))).toBeLessThan(1e-5);
    }
  });

  test("an item counts by its nearest vector, once", () => {
    const matrix = new VectorMatrix({ dimensions: 2, limitBytes: AMPLE });
    matrix.set("n", "far and near", [vector(0, 1), vector(5, 0), vector(5, 0)]);
    matrix.set("n", "between", [vector(1, 1)]);
    expect(matrix.nearest("n", vector(2, 0), 2)).toEqual([
      { key: "far and near", score: 1 },
      { key: "between", score: expect.closeTo(Math.SQRT1_2, 5) },
    ]);
  });

  test("equal scores are ordered by key in code units", () => {
    const matrix = new VectorMatrix({ dimensions: 2, limitBytes: AMPLE });
    const keys = ["\uffff", "b", "\u{1f600}", "é", "a", "B"];
    for (const key of keys) matrix.set("n", key, [vector(3, 4)]);
    const ordered = ["B", "a", "b", "é", "\u{1f600}", "\uffff"];
    expect(matrix.nearest("n", vector(1, 0), 10).map(({ key }) => key)).toEqual(ordered);
    expect(matrix.nearest("n", vector(1, 0), 2).map(({ key }) => key)).toEqual(ordered.slice(0, 2));
  });

  test("zero vectors score 0, and those that are not finite are left out", () => {
    const matrix = new VectorMatrix({ dimensions: 2, limitBytes: AMPLE });
    matrix.set("n", "opposite", [vector(-1, 0)]);
    matrix.set("n", "zero", [vector(0, 0)]);
    matrix.set("n", "NaN", [vector(Number.NaN, 1)]);
    matrix.set("n", "infinite", [vector(Number.POSITIVE_INFINITY, 1)]);
    matrix.set("n", "huge and tiny", [vector(3e38, 1e-45)]);
    expect(matrix.nearest("n", vector(1e-45, 0), 10)).toEqual([
      { key: "huge and tiny", score: 1 },
      { key: "zero", score: 0 },
      { key: "opposite", score: -1 },
    ]);
    expect(matrix.size("n")).toBe(3);
    expect(matrix.nearest("n", vector(0, 0), 10).map(({ score }) => score)).toEqual([0, 0, 0]);
    expect(matrix.nearest("n", vector(Number.NaN, 0), 10)).toEqual([]);
  });

  test("vectors of other dimensions are refused and change nothing", () => {
    const matrix = new VectorMatrix({ dimensions: 2, limitBytes: AMPLE });
    matrix.set("n", "a", [vector(1, 0)]);
    expect(() => matrix.set("n", "a", [vector(0, 1), vector(1, 2, 3)])).toThrow(RangeError);
    expect(() => matrix.nearest("n", vector(1), 1)).toThrow(RangeError);
    expect(matrix.nearest("n", vector(1, 0), 1)).toEqual([{ key: "a", score: 1 }]);
  });

  test("a vector is copied", () => {
    const matrix = new VectorMatrix({ dimensions: 2, limitBytes: AMPLE });
    const given = vector(1, 0);
    matrix.set("n", "a", [given]);
    given.fill(-1);
    expect(matrix.nearest("n", vector(1, 0), 1)).toEqual([{ key: "a", score: 1 }]);
  });
});

describe("memory", () => {
  test("nothing is allocated before the first vector, and a page at first", () => {
    const matrix = new VectorMatrix({ dimensions: 3, limitBytes: 100_000 });
    matrix.nearest("n", vector(1, 2, 3), 1);
    expect(matrix.bytes).toBe(0);
    matrix.set("n", "a", [vector(1, 2, 3)]);
    expect(matrix.bytes).toBe(65_536);
  });

  test("chunks are used again: bytes do not grow over 1,000 rounds of set and forget", () => {
    const matrix = new VectorMatrix({ dimensions: 100, limitBytes: AMPLE });
    const round = (name: string) => {
      for (let item = 0; item < 40; item += 1) matrix.set(name, `${item}`, [new Float32Array(100).fill(item)]);
    };
    round("first");
    round("second");
    const { bytes } = matrix;
    expect(bytes).toBeLessThan(1_000_000);
    for (let i = 0; i < 1_000; i += 1) {
      matrix.forget(i === 0 ? "first" : `${i - 1}`);
      round(`${i}`);
    }
    expect(matrix.bytes).toBe(bytes);
    expect([matrix.size("second"), matrix.size("999")]).toEqual([40, 40]);
  });

  test("at the limit, the namespaces that were not searched or changed for longest are forgotten", () => {
    const matrix = new VectorMatrix({ dimensions: 5, limitBytes: bytesOf(3, 5) });
    const held = () => ["a", "b", "c", "d", "e"].filter((name) => matrix.size(name) !== undefined);
    const fill = (name: string) => matrix.set(name, "key", [vector(1, 2, 3, 4, 5)]);
    for (const name of ["a", "b", "c"]) expect(fill(name)).toBe(true);
    matrix.nearest("a", vector(1, 1, 1, 1, 1), 1);
    fill("d");
    expect(held()).toEqual(["a", "c", "d"]);
    fill("c");
    fill("e");
    expect(held()).toEqual(["c", "d", "e"]);
  });

  test("a namespace that does not fit is forgotten, and its room is free again", () => {
    const matrix = new VectorMatrix({ dimensions: 5, limitBytes: bytesOf(3, 5) });
    const fits = Array.from({ length: 60 }, (_, item) => matrix.set("n", `${item}`, [vector(item, 2, 3, 4, 5)]));
    expect(fits.indexOf(false)).toBe(48);
    matrix.forget("n");
    expect(matrix.set("m", "key", new Array(48).fill(vector(1, 2, 3, 4, 5)))).toBe(true);
    expect(matrix.set("m", "key", new Array(49).fill(vector(1, 2, 3, 4, 5)))).toBe(false);
    expect(matrix.size("m")).toBeUndefined();
  });

  test("a machine that has no more memory is a limit too", () => {
    const memory = { ...createPlainVectorMemory(), grow: () => false };
    const matrix = new VectorMatrix({ dimensions: 5, limitBytes: AMPLE }, () => memory);
    expect(matrix.set("n", "key", [vector(1, 2, 3, 4, 5)])).toBe(false);
    expect(matrix.size("n")).toBeUndefined();
  });
});

describe("after any history", () => {
  const KEYS = ["a", "B", "\uffff", "\u{1f600}", ""];
  const component = fc.oneof(
    { weight: 20, arbitrary: fc.integer({ min: -3, max: 3 }) },
    { weight: 4, arbitrary: fc.float({ noDefaultInfinity: true, noNaN: true }) },
    { weight: 1, arbitrary: fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY) },
  );
  const history = fc.constantFrom(1, 3, 15, 16, 17).chain((dimensions) => {
    const one = fc.array(component, { minLength: dimensions, maxLength: dimensions }).map((each) => vector(...each));
    const namespace = fc.constantFrom("x", "y", "z");
    const step = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          namespace,
          key: fc.constantFrom(...KEYS),
          vectors: fc.oneof(
            { weight: 3, arbitrary: fc.array(one, { maxLength: 3, size: "max" }) },
            // As many as need several chunks.
            { weight: 1, arbitrary: fc.tuple(one, fc.nat(40)).map(([each, count]) => new Array(count).fill(each)) },
          ),
        }),
      },
      { weight: 1, arbitrary: fc.record({ forget: namespace }) },
      { weight: 3, arbitrary: fc.record({ search: namespace, query: one, limit: fc.nat(12) }) },
    );
    return fc.record({
      dimensions: fc.constant(dimensions),
      chunks: fc.constantFrom(2, 5, 1_000),
      steps: fc.array(step, { maxLength: 60, size: "max" }),
    });
  });

  test.each(kernels)("%s: it holds and finds what a plain model does", (_, createMemory) => {
    fc.assert(
      fc.property(history, ({ dimensions, chunks, steps }) => {
        const matrix = new VectorMatrix({ dimensions, limitBytes: bytesOf(chunks, dimensions) }, createMemory);
        const model = new Model(chunks);
        for (const step of steps) {
          if ("vectors" in step) {
            const { namespace, key, vectors } = step;
            expect(matrix.set(namespace, key, vectors)).toBe(model.set(namespace, key, vectors));
          } else if ("forget" in step) {
            matrix.forget(step.forget);
            model.namespaces.delete(step.forget);
          } else {
            const all = matrix.nearest(step.search, step.query, Number.POSITIVE_INFINITY);
            const scores = model.scores(step.search, step.query);
            expect(all.map(({ key }) => key).sort()).toEqual([...scores.keys()].sort());
            for (const { key, score } of all) expect(Math.abs(score - (scores.get(key) ?? 9))).toBeLessThan(1e-5);
            for (const [index, { key, score }] of all.entries()) {
              const next = all[index + 1];
              if (next) expect(score > next.score || (score === next.score && key < next.key)).toBe(true);
            }
            expect(matrix.nearest(step.search, step.query, step.limit)).toEqual(all.slice(0, step.limit));
          }
          for (const name of ["x", "y", "z"]) expect(matrix.size(name)).toBe(model.namespaces.get(name)?.size);
        }
      }),
      { numRuns: 200 },
    );
  });
});

/** What a matrix of so many chunks holds, the least recently used first. */
class Model {
  readonly namespaces = new Map<string, Map<string, Float32Array[]>>();
  readonly chunks: number;

  constructor(chunks: number) {
    this.chunks = chunks;
  }

  set(name: string, key: string, vectors: Float32Array[]): boolean {
    const comparable = vectors.filter((each) => each.every(Number.isFinite));
    const namespace = this.#use(name) ?? new Map<string, Float32Array[]>();
    this.namespaces.set(name, namespace);
    if (comparable.length > 0) namespace.set(key, comparable);
    else namespace.delete(key);
    for (const [oldest] of this.namespaces) {
      const used = [...this.namespaces.values()].map((each) => Math.ceil([...each.values()].flat().length / 16));
      if (used.reduce((sum, each) => sum + each, 0) <= this.chunks) return true;
      this.namespaces.delete(oldest);
    }
    return false;
  }

  scores(name: string, query: Float32Array): Map<string, number> {
    const namespace = this.#use(name);
    if (!namespace || !query.every(Number.isFinite)) return new Map();
    return new Map(
      [...namespace].map(([key, vectors]) => [key, Math.max(...vectors.map((each) => cosine(each, query)))]),
    );
  }

  #use(name: string): Map<string, Float32Array[]> | undefined {
    const namespace = this.namespaces.get(name);
    this.namespaces.delete(name);
    if (namespace) this.namespaces.set(name, namespace);
    return namespace;
  }
}

function wasmMemory(): VectorMemory {
  const memory = createWasmVectorMemory();
  if (!memory) throw new Error("this machine has no WebAssembly SIMD");
  return memory;
}

function vector(...components: number[]): Float32Array {
  return Float32Array.from(components);
}

/** What the limit has to be so that a number of chunks, of 16 vectors each, fits. */
function bytesOf(chunks: number, dimensions: number): number {
  const stride = Math.ceil(dimensions / 16) * 16;
  return 4 * (stride + chunks * 16 * (stride + 1));
}

function cosine(a: Float32Array, b: Float32Array): number {
  const dot = (x: Float32Array, y: Float32Array) => x.reduce((sum, each, index) => sum + each * (y[index] ?? 0), 0);
  const lengths = Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b));
  return lengths === 0 ? 0 : dot(a, b) / lengths;
}

/** The same for the same seed, which is above 0. */
function gaussianVectors(count: number, dimensions: number, seed: number): Float32Array[] {
  let state = seed;
  const random = () => {
    // Park and Miller's generator.
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
  const gaussian = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
  return Array.from({ length: count }, () => Float32Array.from({ length: dimensions }, gaussian));
}
