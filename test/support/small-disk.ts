import { execFileSync } from "node:child_process";
import { temporaryFolder } from "./assistant.ts";

/** Mounts a small disk of so many KiB; undefined, which is said, where that is not allowed. */
export function folderOfSize(): ((kib: number) => Disposable & { path: string }) | undefined {
  const mount = (kib: number) => {
    const parent = temporaryFolder();
    const path = parent.path("disk");
    execFileSync("mkdir", [path]);
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${kib}k`, "tmpfs", path], { stdio: "pipe" });
    } catch (error) {
      parent[Symbol.dispose]();
      throw error;
    }
    return {
      path,
      [Symbol.dispose]() {
        execFileSync("umount", [path]);
        parent[Symbol.dispose]();
      },
    };
  };
  try {
    mount(64)[Symbol.dispose]();
    return mount;
  } catch {
    console.warn("no full disk here: tmpfs cannot be mounted");
    return undefined;
  }
}
