/** Every file of ours ends so; others are left alone. */
const ENDING = ".json";
/** Ends the name of a folder that holds no segment whole; in no key. */
const CONTINUED = "$";
/** File systems take names of 255 bytes. */
const LONGEST_PART = 240;
/** A segment without a character. */
const EMPTY = "!0";

/**
 * The file of a key as the names of its folders and its own: one for each segment between slashes, a long one in several
 * parts. Upper-case letters are `!` and the small letter, since some file systems take both for one; a dot is `!.`, so
 * that no name begins with one and no path leaves its folder.
 */
export function pathOfKey(key: string): string[] {
  const names = namesOf(key);
  return [...names.slice(0, -1), `${names.at(-1) ?? ""}${ENDING}`];
}

/** The folder in which all keys lie that begin so; it holds others too. */
export function folderOfPrefix(prefix: string): string[] {
  const end = prefix.lastIndexOf("/");
  return end < 0 ? [] : namesOf(prefix.slice(0, end));
}

/** The key of {@link pathOfKey}; undefined for the path of a file that is none of ours. */
export function keyOfPath(names: readonly string[]): string | undefined {
  const text = names.join("/").replaceAll(`${CONTINUED}/`, "");
  if (!text.endsWith(ENDING)) return undefined;
  const segments = text.slice(0, -ENDING.length).split("/");
  const key = segments
    .map((each) => (each === EMPTY ? "" : each.replace(/!(.)/g, (_, character: string) => character.toUpperCase())))
    .join("/");
  return pathOfKey(key).join("/") === names.join("/") ? key : undefined;
}

/** Whether files of keys can lie in a folder, which is not the case in others' folders. */
export function isFolderOfKeys(names: readonly string[]): boolean {
  return keyOfPath([...names, `x${ENDING}`]) !== undefined;
}

function namesOf(key: string): string[] {
  return key.split("/").flatMap((segment) => {
    const text = segment.replace(/[A-Z!.]/g, (character) => `!${character.toLowerCase()}`) || EMPTY;
    const parts = text.match(new RegExp(`.{1,${LONGEST_PART}}`, "gs")) ?? [];
    return parts.map((part, i) => (i === parts.length - 1 ? part : `${part}${CONTINUED}`));
  });
}
