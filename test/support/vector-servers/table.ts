import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";

/** One vector that a loopback server keeps. */
export interface Kept {
  id: string;
  vector: number[];
  properties: Record<string, unknown>;
}

/** Vectors with what is beside them, as the loopback servers keep them: exact, by cosine. */
export class Table {
  readonly kept = new Map<string, Kept>();

  /** The nearest that pass, best first. */
  nearest(query: readonly number[], limit: number, passes: (kept: Kept) => boolean): (Kept & { score: number })[] {
    return [...this.kept.values()]
      .filter(passes)
      .map((each) => ({ ...each, score: cosine(each.vector, query) }))
      .sort((a, b) => b.score - a.score)
      .slice(0, limit);
  }
}

/** A server on a free port of this machine; `url` has no slash at the end. */
export interface Loopback {
  url: string;
  port: number;
  stop(): Promise<void>;
}

/** A request as its handler sees it; `body` is the JSON that was sent. */
export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: unknown;
}

/** A status with JSON, or with text as it is. */
export type Answer = [status: number, body: unknown];

/** Serves JSON over HTTP on a free port. A handler that throws answers 500. */
export async function serveJson(answer: (asked: Asked) => Answer): Promise<Loopback> {
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(Buffer.from(chunk));
    const text = Buffer.concat(chunks).toString();
    const { pathname, searchParams } = new URL(request.url ?? "/", "http://loopback");
    const reply = (): Answer => {
      try {
        return answer({
          ...{ method: request.method ?? "", path: decodeURIComponent(pathname), query: searchParams },
          ...{ headers: request.headers, body: text === "" ? undefined : JSON.parse(text) },
        });
      } catch (error) {
        return [500, { error: String(error) }];
      }
    };
    const [status, body] = reply();
    const isText = typeof body === "string";
    response.writeHead(status, { "content-type": isText ? "text/plain" : "application/json" });
    response.end(isText ? body : JSON.stringify(body));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    ...{ url: `http://127.0.0.1:${port}`, port },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = (x: readonly number[], y: readonly number[]) => x.reduce((sum, each, i) => sum + each * (y[i] ?? 0), 0);
  const lengths = Math.sqrt(dot(a, a)) * Math.sqrt(dot(b, b));
  return lengths === 0 ? 0 : dot(a, b) / lengths;
}
