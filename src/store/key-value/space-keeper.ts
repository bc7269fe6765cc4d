import { z } from "zod";
import { isComparable, spaceText, type VectorSpace } from "../vector-space.ts";
import type { KeyChange, KeyValue } from "./key-value.ts";
import { ROWS, SPACE_KEY } from "./keys.ts";
import { type PlacedRow, parseRowText, vectorsOf } from "./row-text.ts";

/** How many rows are read at once in search of one with a vector. */
const READ_AT_ONCE = 50;

const spaceSchema = z.object({
  model: z.string(),
  dimensions: z.int().positive(),
  /** The key of a row that had a vector, where one is looked for first. */
  witness: z.string().optional(),
});

/** The space in the text under {@link SPACE_KEY}; undefined where none was decided on, or it cannot be read. */
export function parsePlacedSpace(text: string | undefined): VectorSpace | undefined {
  const { model, dimensions } = parse(text) ?? {};
  return model === undefined || dimensions === undefined ? undefined : { model, dimensions };
}

function parse(text: string | undefined): z.infer<typeof spaceSchema> | undefined {
  try {
    return spaceSchema.parse(JSON.parse(text ?? ""));
  } catch {
    return undefined;
  }
}

/** Keeps which space the vectors of a place are of. Rows name theirs; those of another space count as without vectors. */
export class SpaceKeeper {
  readonly #place: KeyValue;
  #witness: string | undefined;

  constructor(place: KeyValue) {
    this.#place = place;
  }

  /** The space of the kept vectors; undefined when there are none. */
  async space(): Promise<VectorSpace | undefined> {
    const [text] = await this.#place.read([SPACE_KEY]);
    const space = parsePlacedSpace(text ?? undefined);
    return space && (await this.#hasVectors(text ?? undefined)) ? space : undefined;
  }

  /**
   * Whether vectors of a space can be compared with those kept, where `text` is what was read under {@link SPACE_KEY} and
   * `embeds` whether some are to be kept.
   *
   * @throws MnemailError("store") for other dimensions of the same model.
   */
  async isComparable(text: string | undefined, offered: VectorSpace, embeds: boolean): Promise<boolean> {
    const kept = parsePlacedSpace(text);
    if (!kept || spaceText(kept) === spaceText(offered) || !(await this.#hasVectors(text))) return true;
    return embeds && isComparable(this.#place.name, kept, offered);
  }

  /** Puts a space in force for the vectors of some changes, where none is; false when another process was first. */
  async claim(text: string | undefined, space: VectorSpace, changes: readonly KeyChange[]): Promise<boolean> {
    const kept = parsePlacedSpace(text);
    if (kept && spaceText(kept) === spaceText(space)) return true;
    const witness = changes.find(({ key, text: row }) => row && hasVector(parseRowText(key, row), space))?.key;
    return this.#put(text, { ...space, ...(witness === undefined ? {} : { witness }) });
  }

  /** Puts a space in force whatever is kept: vectors of another one are none from then on. */
  async reset(space: VectorSpace): Promise<void> {
    for (;;) {
      const [text] = await this.#place.read([SPACE_KEY]);
      const kept = parsePlacedSpace(text ?? undefined);
      if (kept && spaceText(kept) === spaceText(space)) return;
      if (await this.#put(text ?? undefined, space)) return;
    }
  }

  #put(before: string | undefined, space: z.infer<typeof spaceSchema>): Promise<boolean> {
    return this.#place.write([{ key: SPACE_KEY, text: JSON.stringify(space), expected: before ?? null }]);
  }

  async #hasVectors(text: string | undefined): Promise<boolean> {
    const kept = parse(text);
    if (!kept) return false;
    const first = [this.#witness, kept.witness].flatMap((key) => key ?? []);
    if (await this.#find(first, kept)) return true;
    const keys = await this.#place.keys(ROWS);
    for (let at = 0; at < keys.length; at += READ_AT_ONCE) {
      if (await this.#find(keys.slice(at, at + READ_AT_ONCE), kept)) return true;
    }
    return false;
  }

  async #find(keys: readonly string[], space: VectorSpace): Promise<boolean> {
    if (keys.length === 0) return false;
    const texts = await this.#place.read(keys);
    this.#witness = keys.find((key, i) => hasVector(parseRowText(key, texts[i] ?? ""), space));
    return this.#witness !== undefined;
  }
}

function hasVector(row: PlacedRow | undefined, space: VectorSpace): boolean {
  return row !== undefined && vectorsOf(row, space).length > 0;
}
