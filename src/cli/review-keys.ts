/**
 * Works while what is typed is thrown away: keys that were meant for this question must not answer the next one, which
 * nobody has read yet. Ctrl-C still ends the program.
 */
export async function withoutKeys<T>(work: () => Promise<T>): Promise<T> {
  const { stdin } = process;
  if (!stdin.isTTY) return await work();
  const drop = (keys: Buffer) => {
    if (!keys.includes(3)) return;
    stdin.setRawMode(false);
    process.exit(130);
  };
  stdin.setRawMode(true);
  stdin.on("data", drop);
  stdin.resume();
  try {
    return await work();
  } finally {
    stdin.off("data", drop);
    stdin.pause();
    stdin.setRawMode(false);
  }
}
