/** A text and what a server names its state by. */
export interface KnownText {
  text: string;
  etag: string;
}

/** The most characters that are kept: 10,000 records with vectors of 1,536 numbers. */
const MOST_CHARACTERS = 100_000_000;

/** Texts that were seen, up to a number of characters; those that were not asked for the longest go first. */
export class TextCache<T extends { text: string } = KnownText> {
  readonly #texts = new Map<string, T>();
  readonly #most: number;
  #characters = 0;

  constructor(most = MOST_CHARACTERS) {
    this.#most = most;
  }

  get(name: string): T | undefined {
    const known = this.#texts.get(name);
    if (known) {
      this.#texts.delete(name);
      this.#texts.set(name, known);
    }
    return known;
  }

  set(name: string, known: T): void {
    this.delete(name);
    this.#texts.set(name, known);
    this.#characters += known.text.length;
    for (const oldest of this.#texts.keys()) {
      if (this.#characters <= this.#most) break;
      this.delete(oldest);
    }
  }

  delete(name: string): void {
    this.#characters -= this.#texts.get(name)?.text.length ?? 0;
    this.#texts.delete(name);
  }

  clear(): void {
    this.#texts.clear();
    this.#characters = 0;
  }
}
