import { BATCH, type Block, keyOf, PER_USER, putText, userBlock } from "./data.ts";
import type { Run } from "./measure.ts";
import type { Peer } from "./peers.ts";

/** How a peer does an operation; undefined where it does not have it. */
export type Operation = (peer: Peer) => Run | undefined;

const WRITTEN = ["bench", "written"];
const USERS_OF_GETS = 2;
let written = 0;

function nextItem() {
  written += 1;
  return { namespace: WRITTEN, key: `written-${written}`, text: putText(written) };
}

/** Puts one new item with its vector. */
export const putOne: Operation = ({ put }) => put && (() => put(nextItem()));

/** Puts a batch of new items with their vectors. */
export const putBatch: Operation = ({ putAll }) => putAll && (() => putAll(Array.from({ length: BATCH }, nextItem)));

/** Gets all memories of two users in one batch. */
export function getBatch(users: number): Operation {
  return ({ name, getAll }) =>
    getAll &&
    (async (round) => {
      const addresses = Array.from({ length: USERS_OF_GETS * PER_USER }, (_, i) => {
        const { namespace, first } = userBlock((round * USERS_OF_GETS + Math.floor(i / PER_USER)) % users);
        return { namespace, key: keyOf(first + (i % PER_USER)) };
      });
      const found = await getAll(addresses);
      if (found !== addresses.length) throw new Error(`${name} found ${found} of ${addresses.length} items`);
    });
}

/** Searches one of the namespaces after the other. */
export function searchIn(blocks: readonly Block[]): Operation {
  return (peer) => (round) => peer.search(blocks[round % blocks.length]?.namespace ?? []);
}

/** @throws Error when the peers do not find the same items in the same order: then there is nothing to compare. */
export async function expectEqualSearches(peers: readonly Peer[], { namespace }: Block): Promise<void> {
  const found = await Promise.all(
    peers.map(async (peer) => [peer.name, (await peer.search(namespace)).join(" ")] as const),
  );
  const [[first, expected] = ["", ""]] = found;
  for (const [name, keys] of found) {
    if (keys !== expected || keys === "")
      throw new Error(`${namespace.join(".")}: ${name} found ${keys}, and ${first} ${expected}`);
  }
}
