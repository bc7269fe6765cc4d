import { stemmer } from "stemmer";

/** The languages of lexical ranking, by the names PostgreSQL has for them. */
export const SEARCH_LANGUAGES = ["english", "simple"] as const;

/** `english` takes stop words out and stems; `simple` takes words as they are, for any other language. */
export type SearchLanguage = (typeof SEARCH_LANGUAGES)[number];

/** More words than an email has; what follows in a longer text is not found by words. */
const MAX_TOKENS = 5_000;
/** UTF-16 units: the longest email address. A longer word is found by its beginning. */
const MAX_TOKEN_LENGTH = 254;
const LONGEST_ENGLISH_WORD = 32;
const MAX_KNOWN_STEMS = 20_000;

const WORD = /[\p{L}\p{M}\p{N}]+/gu;
/** Between two words, these make an address, a domain, a version or a file name of them. */
const JOINTS = new Set([".", "@", "-", "_", "+"]);
/** Scripts whose words spaces do not set apart (in Korean, from their particles). */
const SPACELESS =
  "\\p{scx=Hangul}\\p{scx=Han}\\p{scx=Hiragana}\\p{scx=Katakana}\\p{scx=Thai}\\p{scx=Lao}\\p{scx=Khmer}\\p{scx=Myanmar}";
const HAS_SPACELESS = new RegExp(`[${SPACELESS}]`, "u");
const RUNS = new RegExp(`([${SPACELESS}]{1,200})|[^${SPACELESS}]+`, "gu");
const HAN = /\p{Script=Han}/u;
// biome-ignore lint/suspicious/noControlCharactersInRegex: the ASCII range
const ASCII = /^[\x00-\x7f]*$/;
const ENGLISH_LETTERS = /^[a-z]+$/;
/**
 * Accents, Hebrew points, Arabic vowel signs and variation selectors; in other scripts a mark makes another letter.
 * White space too: a few letters decompose into several words.
 */
const ACCENTS = new RegExp(
  "[\\u0300-\\u036f\\u0591-\\u05bd\\u05bf\\u05c1\\u05c2\\u05c4\\u05c5\\u05c7\\u064b-\\u065f\\u0670" +
    "\\u1ab0-\\u1aff\\u1dc0-\\u1dff\\u20d0-\\u20ff\\ufe00-\\ufe0f\\s]",
  "gu",
);
/** Letters with a plain spelling that Unicode does not decompose. */
const PLAIN: Readonly<Record<string, string>> = {
  ß: "ss",
  æ: "ae",
  œ: "oe",
  ø: "o",
  ł: "l",
  đ: "d",
  ð: "d",
  þ: "th",
  ı: "i",
  ς: "σ",
};
const HAS_PLAIN = new RegExp(`[${Object.keys(PLAIN).join("")}]`, "gu");

/** Words that say nothing about a text, with what a split at an apostrophe leaves (`don't`, `we'll`). */
const STOP_WORDS = new Set(
  `a about after again all also am an and any are as at be because been before being both but by can could d did do
   does doing don down during each few for from further had has have having he her here hers him his how i if in into
   is it its just ll m me more most my no nor not of off on once only or other our ours out over own re s same she
   should so some such t than that the their theirs them then there these they this those through to too under until
   up ve very was we were what when where which while who whom why will with would you your yours`.split(/\s+/),
);

const stems = new Map<string, string>();

/**
 * The words of a text as they are indexed and searched, in order, with repetitions: lower case, without accents
 * (`Grüße` is `grusse`), in `english` stemmed and without stop words. An address, a domain or a file name is found
 * whole and by its parts. Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese give their pairs of neighbouring characters, and every Han character.
 * At most 5,000 tokens of at most 254 UTF-16 units, without white space; linear in the length of the text.
 */
export function tokenize(text: string, language: SearchLanguage): string[] {
  const tokens: string[] = [];
  let joined: Joined | undefined;
  for (const match of text.matchAll(WORD)) {
    if (tokens.length >= MAX_TOKENS) break;
    const word = match[0];
    const follows = joined?.end === match.index - 1 && JOINTS.has(text.charAt(match.index - 1));
    if (joined && !follows) addWhole(joined, text, tokens);
    joined = { start: follows && joined ? joined.start : match.index, end: match.index + word.length };
    addWord(word, language, tokens);
  }
  if (joined) addWhole(joined, text, tokens);
  return tokens.slice(0, MAX_TOKENS);
}

/** Words that single joints hold together: where they begin and end in the text. */
interface Joined {
  start: number;
  end: number;
}

function addWhole({ start, end }: Joined, text: string, tokens: string[]): void {
  if (end - start > MAX_TOKEN_LENGTH) return;
  const whole = text.slice(start, end);
  const domain = whole.slice(whole.lastIndexOf("@") + 1);
  if (domain !== whole) tokens.push(fold(whole).slice(0, MAX_TOKEN_LENGTH));
  if (domain.includes(".")) tokens.push(fold(domain).slice(0, MAX_TOKEN_LENGTH));
}

function addWord(word: string, language: SearchLanguage, tokens: string[]): void {
  if (HAS_SPACELESS.test(word)) {
    for (const [run, spaceless] of word.matchAll(RUNS)) {
      if (tokens.length >= MAX_TOKENS) return;
      if (spaceless === undefined) addPlain(run, language, tokens);
      else addPairs(fold(run), tokens);
    }
  } else {
    addPlain(word, language, tokens);
  }
}

function addPlain(word: string, language: SearchLanguage, tokens: string[]): void {
  // Cut before it is folded: normalizing takes quadratic time on a long run of marks.
  const token = fold(word.slice(0, MAX_TOKEN_LENGTH)).slice(0, MAX_TOKEN_LENGTH);
  if (token === "" || (language === "english" && STOP_WORDS.has(token))) return;
  tokens.push(language === "english" ? stem(token) : token);
}

function addPairs(run: string, tokens: string[]): void {
  const characters = [...run];
  characters.forEach((character, index) => {
    const next = characters[index + 1];
    if (characters.length === 1 || HAN.test(character)) tokens.push(character);
    if (next !== undefined) tokens.push(character + next);
  });
}

function fold(word: string): string {
  if (ASCII.test(word)) return word.toLowerCase();
  const plain = word.normalize("NFKD").toLowerCase().replace(ACCENTS, "");
  return plain.replace(HAS_PLAIN, (letter) => PLAIN[letter] ?? letter).normalize("NFKC");
}

function stem(token: string): string {
  if (token.length > LONGEST_ENGLISH_WORD || !ENGLISH_LETTERS.test(token)) return token;
  let found = stems.get(token);
  if (found === undefined) {
    found = stemmer(token);
    if (stems.size >= MAX_KNOWN_STEMS) stems.clear();
    stems.set(token, found);
  }
  return found;
}

/** The text of a JSON value: all strings in it in order, one per line; its keys are not part of it. */
export function wordsOf(value: unknown): string {
  const texts: string[] = [];
  // A stack of our own: a value may be nested deeper than functions can call themselves.
  const left = [value];
  while (left.length > 0) {
    const next = left.pop();
    if (typeof next === "string") texts.push(next);
    else if (typeof next === "object" && next !== null) {
      const inside: unknown[] = Array.isArray(next) ? next : Object.values(next);
      for (let at = inside.length - 1; at >= 0; at -= 1) left.push(inside[at]);
    }
  }
  return texts.join("\n");
}
