import type { Scope } from "../memory/scope.ts";
import { shorten } from "./output.ts";

/** For which emails a memory is recalled, for people. */
export function renderScope(scope: Scope): string {
  const [kind, of] = [scope.slice(0, scope.indexOf(":")), scope.slice(scope.indexOf(":") + 1)];
  if (scope === "all") return "every email, the nearest memories first";
  if (kind === "thread") return `the conversation ${shorten(of, 100)}, for those who take part in it`;
  return kind === "person" ? `mail of ${shorten(of, 100)}` : `mail from ${shorten(of, 100)}`;
}
