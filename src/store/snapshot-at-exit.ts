const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** What is left to do, by what it belongs to. */
const left = new Set<() => void>();

/**
 * Has something done, without waiting and without throwing, when this process ends before it is taken back: at its `exit`,
 * and at the signals that end a process to which nobody else listens, which then do what they do. Returns what takes it
 * back.
 */
export function doAtExit(finish: () => void): () => void {
  if (left.size === 0) {
    process.on("exit", finishAll);
    // First, so that it sees others that listen only once.
    for (const signal of SIGNALS) process.prependListener(signal, onSignal);
  }
  left.add(finish);
  return () => {
    left.delete(finish);
    if (left.size === 0) forgetProcess();
  };
}

function forgetProcess(): void {
  process.removeListener("exit", finishAll);
  for (const signal of SIGNALS) process.removeListener(signal, onSignal);
}

function finishAll(): void {
  for (const finish of left) {
    try {
      finish();
    } catch {
      // It must not keep others from theirs.
    }
  }
}

function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  finishAll();
  left.clear();
  forgetProcess();
  process.kill(process.pid, signal);
}
