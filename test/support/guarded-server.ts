import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";

/** A server process that ends with the test process, whatever ends that. */
export interface GuardedServer {
  pid: number;
  ended: Promise<unknown>;
  shell: ChildProcess;
}

// Kills the server when the pipe of standard input closes, as it does when the test process is gone, and clears up.
const GUARDED = `
folder=$1; signal=$2; shift 2
exec 3<&0
"$@" </dev/null >&2 3<&- &
server=$!
echo "$server"
( cat <&3 >/dev/null; : > "$folder/orphaned"; kill -"$signal" "$server" ) &
guard=$!
wait "$server"
kill "$guard"
if [ -e "$folder/orphaned" ]; then rm -rf "$folder"; fi`;

/**
 * Starts a server in a folder, where it writes its `log`. When the test process is gone, the server gets `signal` and the
 * folder is removed. Returns when the process is there; whether it answers is for the caller to see.
 */
export async function launchGuarded(server: {
  folder: string;
  command: readonly string[];
  signal: "KILL" | "QUIT";
  uid?: number | undefined;
  gid?: number | undefined;
}): Promise<GuardedServer> {
  const { folder, command, signal, uid, gid } = server;
  const log = openSync(join(folder, "log"), "a");
  const shell = spawn("/bin/sh", ["-c", GUARDED, "guarded-server", folder, signal, ...command], {
    cwd: folder,
    // Its own process group, so that what ends ours by a signal leaves the guard alive to do its work.
    detached: true,
    env: { PATH: process.env["PATH"] },
    stdio: ["pipe", "pipe", log],
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  });
  closeSync(log);
  const ended = once(shell, "exit").finally(() => shell.stdin?.destroy());
  const [line] = await once(shell.stdout?.setEncoding("utf8") ?? shell, "data");
  return { pid: Number(line), ended, shell };
}
