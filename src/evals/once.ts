/** How often what is shared is tried to be made. */
const ATTEMPTS = 3;

/**
 * Makes something once for the same arguments, which are plain values, when it is first asked for. Where that fails it is
 * made anew for whoever asks next, so that a server that was away for a moment costs what asked then and no more; after
 * three failures, it stays failed.
 */
export function once<A extends readonly (string | number)[], T>(
  make: (...of: A) => Promise<T>,
): (...of: A) => Promise<T> {
  const made = new Map<string, Promise<T>>();
  const failures = new Map<string, number>();
  return (...of) => {
    const key = JSON.stringify(of);
    const known = made.get(key);
    if (known) return known;
    const one = make(...of).catch((error: unknown) => {
      const failed = (failures.get(key) ?? 0) + 1;
      failures.set(key, failed);
      if (failed < ATTEMPTS) made.delete(key);
      throw error;
    });
    made.set(key, one);
    return one;
  };
}
