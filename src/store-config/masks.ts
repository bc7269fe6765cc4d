/** A value as an error message shows it. */
export function quote(text: string | undefined): string {
  // A key may have ended up in the wrong variable.
  return JSON.stringify((text ?? "").replace(/^sk-.*/s, "sk-…").slice(0, 120));
}

/** Shows a URL without what may be secret in it: user information and query. Whole text that is no URL is hidden. */
export function maskUrl(text: string): string {
  // An unescaped / or @ of a password ends up in what a parser takes for host and path.
  if (/^[a-z]+:\/\/[^?#]*[/?#].*@/i.test(text)) return text.replace(/\/\/.*@/s, "//***@").replace(/\?.*$/s, "?***");
  if (!URL.canParse(text)) return "***";
  const { protocol, username, host, pathname, search } = new URL(text);
  return `${protocol}//${username ? "***@" : ""}${host}${pathname}${search ? "?***" : ""}`;
}

/** Names a URL that is not allowed by its scheme alone, since the rest may hold a password. */
export function nameUrl(text: string): string {
  const scheme = /^[a-z][a-z0-9+.-]*:/i.exec(text)?.[0];
  if (scheme !== undefined) return quote(scheme.length === text.length ? scheme : `${scheme}…`);
  return /^[\w./-]{1,40}$/.test(text) ? quote(text) : "a value without a scheme";
}

/** Says whether a secret is set, and of a long one its end, so that two can be told apart. */
export function maskSecret(secret: string | undefined): string {
  if (secret === undefined) return "not set";
  return secret.length >= 20 ? `set (ends in …${secret.slice(-4)})` : "set";
}
