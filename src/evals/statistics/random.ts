/** A stream of random numbers that its seed decides. */
export interface Random {
  /** The next whole number of 32 bits. */
  next(): number;
  /** A whole number from 0 to `limit - 1`, each as likely as the others (up to 1 in 2^32). */
  below(limit: number): number;
}

/** The state of {@link xoshiro}: four whole numbers of 32 bits, not all zero. */
export type RandomState = readonly [number, number, number, number];

/** Random numbers of a seed, a whole number: the state is the first two outputs of {@link splitMix}. */
export function createRandom(seed: number): Random {
  const [first, second] = splitMix(BigInt(seed));
  const half = (word: bigint, shift: bigint) => Number(BigInt.asUintN(32, word >> shift));
  return xoshiro([half(first, 0n), half(first, 32n), half(second, 0n), half(second, 32n)]);
}

/** xoshiro128** 1.1 of D. Blackman and S. Vigna, https://prng.di.unimi.it/xoshiro128starstar.c (public domain). */
export function xoshiro(state: RandomState): Random {
  let [a, b, c, d] = state;
  const next = () => {
    const result = Math.imul(rotate(Math.imul(b, 5), 7), 9) >>> 0;
    const shifted = b << 9;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 11);
    return result;
  };
  return { next, below: (limit) => Math.floor((next() / 2 ** 32) * limit) };
}

/**
 * The first two outputs of SplitMix64, by which the authors of xoshiro recommend to seed it:
 * https://prng.di.unimi.it/splitmix64.c (public domain).
 */
export function splitMix(seed: bigint): [bigint, bigint] {
  const output = (step: bigint) => {
    const word = BigInt.asUintN(64, seed + step * 0x9e3779b97f4a7c15n);
    const once = BigInt.asUintN(64, (word ^ (word >> 30n)) * 0xbf58476d1ce4e5b9n);
    const twice = BigInt.asUintN(64, (once ^ (once >> 27n)) * 0x94d049bb133111ebn);
    return twice ^ (twice >> 31n);
  };
  return [output(1n), output(2n)];
}

/** The items in a random order, each order as likely as the others: each item is given a random number to be sorted by. */
export function shuffle<T>(items: readonly T[], random: Random): T[] {
  const numbered = items.map((item) => ({ item, at: random.next() }));
  return numbered.sort((one, other) => one.at - other.at).map(({ item }) => item);
}

function rotate(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}
