/** What was opened together, to be closed together. */
export interface Closing {
  /** Takes over something that is open, and gives it back. */
  use<T extends AsyncDisposable>(opened: T): T;
  /** Closes all of it, what was opened last first. */
  close(): Promise<void>;
}

/** Node 20 has no `AsyncDisposableStack`, whose part this plays while a composition is opened. */
export function createClosing(): Closing {
  const opened: AsyncDisposable[] = [];
  return {
    use(each) {
      opened.push(each);
      return each;
    },
    async close() {
      for (const each of opened.splice(0).reverse()) await each[Symbol.asyncDispose]();
    },
  };
}
