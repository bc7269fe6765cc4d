import { hashText } from "../../prompts.ts";
import type { Address } from "../row-driver.ts";

/** Below it lie all rows. */
export const ROWS = "r/";
/** Where the space of the vectors is kept, and a row that has one. */
export const SPACE_KEY = "m/space";

/** No place takes longer keys (`key-value.ts`). */
const LONGEST_KEY = 900;
/** Of a longer key, how much is kept whole; the rest is its hash. */
const LONGEST_STEM = 800;
/** Of a longer label, its beginning is kept for people to read. */
const LONGEST_LABEL = 180;
const LABEL_STEM = 100;
const HASH_DIGITS = 64;

/** What encodeURIComponent leaves as it is, and the keys of a place do not have or we mean something by. */
const LEFT = /[.~!*'()]/g;

/**
 * The key of a row: `r/<label>/<label>/=<key>`, percent-encoded. No two addresses share one. A label or key of more than
 * 180 characters ends in its hash, and a whole of more than 900 is cut after a label and ends in the hash of all of it;
 * the row has the real names.
 */
export function rowKey({ namespace, key }: Address): string {
  const whole = `${ROWS}${namespace.map((label) => `${encodeLabel(label)}/`).join("")}=${encodeLabel(key)}`;
  if (whole.length <= LONGEST_KEY) return whole;
  return `${stemOf(namespace)}=~${hashText(JSON.stringify([namespace, key]), HASH_DIGITS)}`;
}

/** The beginning of the keys of all rows at or below some labels; `isExact` when no other row's key begins so. */
export function rowPrefix(labels: readonly string[]): { prefix: string; isExact: boolean } {
  const prefix = stemOf(labels);
  return {
    prefix,
    isExact: prefix.length === ROWS.length + labels.reduce((sum, each) => sum + encodeLabel(each).length + 1, 0),
  };
}

/** As many whole labels as fit, the same for all rows below them. */
function stemOf(labels: readonly string[]): string {
  let stem = ROWS;
  for (const label of labels) {
    const longer = `${stem}${encodeLabel(label)}/`;
    if (longer.length > LONGEST_STEM) break;
    stem = longer;
  }
  return stem;
}

/**
 * A label or key as a part of a key between slashes: percent-encoded, and of more than 180 characters ending in its hash,
 * before which alone stands a `~`. No two texts share one.
 *
 * @throws URIError for a text with half a surrogate pair.
 */
export function encodeLabel(text: string): string {
  const encoded = encodeURIComponent(text).replace(
    LEFT,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
  if (encoded.length <= LONGEST_LABEL) return encoded;
  const stem = encoded.slice(0, LABEL_STEM).replace(/%.?$/, "");
  // No encoded text has a ~ of its own.
  return `${stem}~${hashText(text, HASH_DIGITS)}`;
}
