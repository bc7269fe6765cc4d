/** A text and what a server names its state by. */
export interface KnownText {
  text: string;
  etag: string;
}

/** The most characters that are kept: 10,000 records with vectors of 1,536 numbers. */
const MOST_CHARACTERS = 100_000_000;

/**
 * Texts that were seen, up to a number of characters; those that were not asked for the longest go first. Where a pass over
 * many has begun, none of it goes for another of it: of more than there is room for, the same ones are kept each time.
 */
export class TextCache<T extends { text: string } = KnownText> {
  readonly #texts = new Map<string, { known: T; usedAt: number }>();
  readonly #most: number;
  #characters = 0;
  /** Counts what was asked for and added. */
  #now = 0;
  #passFrom = Number.POSITIVE_INFINITY;

  constructor(most = MOST_CHARACTERS) {
    this.#most = most;
  }

  /** Begins a pass, and ends the one before. */
  begin(): void {
    this.#passFrom = this.#now;
  }

  get(name: string): T | undefined {
    const known = this.#texts.get(name)?.known;
    if (known) this.#use(name, known);
    return known;
  }

  set(name: string, known: T): void {
    this.delete(name);
    this.#use(name, known);
    this.#characters += known.text.length;
    for (const [oldest, { usedAt }] of this.#texts) {
      if (this.#characters <= this.#most) break;
      this.delete(usedAt < this.#passFrom ? oldest : name);
    }
  }

  #use(name: string, known: T): void {
    this.#texts.delete(name);
    this.#texts.set(name, { known, usedAt: this.#now });
    this.#now += 1;
  }

  delete(name: string): void {
    this.#characters -= this.#texts.get(name)?.known.text.length ?? 0;
    this.#texts.delete(name);
  }

  clear(): void {
    this.#texts.clear();
    this.#characters = 0;
  }
}
