import { BUSINESS_KINDS } from "./memory-business.ts";
import { PERSONAL_KINDS } from "./memory-personal.ts";

/**
 * A kind of fact, and how it is asked about. `{who}` is the person as the fact names them, `{value}` one of the values;
 * `{project}`, `{city}`, `{town}`, `{month}`, `{day}`, `{amount}`, `{count}`, `{version}` and `{colleague}` are filled in
 * anew for each fact. Questions share no template with facts.
 */
export interface Kind {
  name: string;
  /** What is said of a person, and the same in other words. */
  values: readonly (readonly [value: string, otherwise: string])[];
  facts: readonly string[];
  /** In the words of the facts: about a person of a `{name}`, and about somebody at a `{company}`. */
  same: readonly [person: string, unnamed: string];
  /** In other words: about somebody of whom the `{first}` name is known, and somebody at a `{company}`, by `{otherwise}`. */
  other: readonly [person: string, unnamed: string];
  /** What is wanted, in a few words to stand beside a name. */
  topic: string;
}

/** All kinds of facts. */
export const KINDS: readonly Kind[] = [...PERSONAL_KINDS, ...BUSINESS_KINDS];
