import { hashText } from "../../prompts.ts";
import type { JsonObject, KeptRow, Row } from "../row-driver.ts";
import { parseSpace, spaceText, type VectorSpace } from "../vector-space.ts";
import { type PlacedRow, parseRowText, vectorsOf } from "./row-text.ts";
import { TextCache } from "./text-cache.ts";

/** A row as it was parsed from a text. Others read it too: it is never changed, nor handed out but as {@link copyOfRow}. */
export interface ParsedRow extends KeptRow {
  text: string;
  /** Another one for each text. */
  version: string;
  /** As {@link spaceText}; null where it has no vectors. */
  space: string | null;
  /** Those that can be compared in its space. */
  vectors: readonly Float32Array[];
}

/**
 * The rows of texts, each parsed once for as long as its key has the same text: the whole text is compared. Keeps those
 * that were asked for last, whose texts have at most so many characters together.
 */
export class ParsedRows {
  readonly #rows: TextCache<ParsedRow>;

  constructor(mostCharacters?: number) {
    this.#rows = new TextCache(mostCharacters);
  }

  /** Begins a pass over rows, of which none is let go for another. */
  begin(): void {
    this.#rows.begin();
  }

  /** As {@link parseRowText}. */
  read(key: string, text: string): ParsedRow | undefined {
    const known = this.#rows.get(key);
    if (known?.text === text) return known;
    const row = parseRowText(key, text);
    if (!row) return undefined;
    const parsed = { ...row, text, version: hashText(text), vectors: ownVectors(row) };
    this.#rows.set(key, parsed);
    return parsed;
  }
}

/** The vectors of a row that can be compared in a space. */
export function comparableVectors({ space, vectors }: ParsedRow, wanted: VectorSpace): readonly Float32Array[] {
  return space === spaceText(wanted) ? vectors : [];
}

/** The row for a caller, who may change it. */
export function copyOfRow({ namespace, key, value, createdAt, updatedAt }: ParsedRow): Row {
  const copied: JsonObject = JSON.parse(JSON.stringify(value));
  return {
    ...{ namespace: [...namespace], key, value: copied },
    ...{ createdAt: new Date(createdAt), updatedAt: new Date(updatedAt) },
  };
}

function ownVectors(row: PlacedRow): Float32Array[] {
  try {
    return row.space === null ? [] : vectorsOf(row, parseSpace(row.space));
  } catch {
    // No space of ours: nothing is ever compared in it.
    return [];
  }
}
