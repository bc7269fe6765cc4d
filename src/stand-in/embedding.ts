const TEXT_LIMIT = 50_000;
const STOP_WORDS = new Set(
  (
    "an and are as at be been but by can could did do does for from had has have he her his if in into is it its me my " +
    "no not of on or our re she so that the their them then there they this to us was we were what when which who will " +
    "with would you your"
  ).split(" "),
);

/**
 * The words of a text that tell texts apart: lower-case runs of at least two letters, English stop words left out.
 * Only the first 50,000 characters count.
 */
export function contentWords(text: string): string[] {
  // Callers embed JSON too; its escapes would glue an "n" to the first word of each line.
  const plain = text
    .slice(0, TEXT_LIMIT)
    .normalize("NFKC")
    .replace(/\\[nrt]/g, " ")
    .toLowerCase();
  return (plain.match(/[\p{L}\p{M}]{2,}/gu) ?? []).filter((word) => !STOP_WORDS.has(word));
}

/**
 * A bag of words as a unit vector, by the hashing trick (Weinberger et al. 2009): FNV-1a picks the dimension and
 * the sign. The same text always gives the same vector; a text without words gives the first unit vector.
 */
export function embedText(text: string, dimensions: number): Float32Array {
  const sums = new Float64Array(dimensions);
  for (const word of contentWords(text)) {
    const hash = fnv1a(word);
    const at = hash % dimensions;
    sums[at] = (sums[at] ?? 0) + (hash >>> 31 === 0 ? 1 : -1);
  }
  const norm = Math.hypot(...sums);
  // Two words of opposite sign can cancel each other, which leaves nothing to normalise.
  if (norm === 0) sums[0] = 1;
  return Float32Array.from(sums, (sum) => sum / (norm || 1));
}

/** A vector as the API writes it in base64: 32-bit floats, little endian. */
export function toBase64(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * 4);
  vector.forEach((value, index) => {
    bytes.writeFloatLE(value, index * 4);
  });
  return bytes.toString("base64");
}

function fnv1a(word: string): number {
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(word)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
