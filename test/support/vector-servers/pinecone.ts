import { z } from "zod";
import { type Answer, type Asked, type Loopback, serveJson, Table } from "./table.ts";

const filterSchema = z.record(z.string(), z.strictObject({ $in: z.array(z.string()).min(1) })).optional();
const metadata = z.record(z.string(), z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]));
const namespace = z.string().default("");
const upsertSchema = z.object({
  vectors: z.array(z.object({ id: z.string().min(1).max(512), values: z.array(z.number()), metadata })).max(1_000),
  namespace,
});
const querySchema = z.object({
  ...{ vector: z.array(z.number()), topK: z.int().positive().max(10_000), namespace },
  ...{ filter: filterSchema, includeMetadata: z.boolean().default(false) },
});
const deleteSchema = z.object({ ids: z.array(z.string()).min(1).max(1_000), namespace });

/** A server on this machine that speaks as much of Pinecone's documented REST API as a store of vectors needs. */
export async function startPinecone(options: {
  apiKey: string;
  indexes: Record<string, { dimension: number; metric: string }>;
}): Promise<Loopback> {
  const tables = new Map<string, Table>();
  const tableOf = (name: string) => {
    const found = tables.get(name) ?? new Table();
    tables.set(name, found);
    return found;
  };
  const [first] = Object.values(options.indexes);
  let url = "";

  const answer = ({ method, path, query, headers, body }: Asked): Answer => {
    if (headers["api-key"] !== options.apiKey) return [401, "Invalid API Key"];
    const [, name] = /^\/indexes\/(.+)$/.exec(path) ?? [];
    if (name !== undefined && method === "GET") {
      const index = options.indexes[name];
      if (!index) return [404, { error: { code: "NOT_FOUND", message: `Resource ${name} not found` }, status: 404 }];
      const spec = { serverless: { cloud: "aws", region: "us-east-1" } };
      const more = { spec, status: { ready: true, state: "Ready" }, vector_type: "dense" };
      return [200, { name, ...index, host: `${url}/at/${name}`, deletion_protection: "disabled", ...more }];
    }
    const refused = (length: number): Answer => [
      400,
      { code: 3, message: `Vector dimension ${length} does not match the dimension of the index ${first?.dimension}` },
    ];
    const [, at = "", action] = /^\/at\/([^/]+)(\/.*)$/.exec(path) ?? [];
    switch (`${method} ${action}`) {
      case "POST /vectors/upsert": {
        const { vectors, namespace } = upsertSchema.parse(body);
        const wrong = vectors.find(({ values }) => values.length !== first?.dimension);
        if (wrong) return refused(wrong.values.length);
        for (const { id, values, metadata } of vectors) {
          tableOf(`${at} ${namespace}`).kept.set(id, { id, vector: values, properties: metadata });
        }
        return [200, { upsertedCount: vectors.length }];
      }
      case "POST /query": {
        const { vector, topK, namespace, filter = {}, includeMetadata } = querySchema.parse(body);
        if (vector.length !== first?.dimension) return refused(vector.length);
        const nearest = tableOf(`${at} ${namespace}`).nearest(vector, topK, ({ properties }) =>
          Object.entries(filter).every(([name, { $in }]) => $in.some((each) => each === properties[name])),
        );
        const matches = nearest.map(({ id, score, properties }) => ({
          ...{ id, score, values: [] },
          ...(includeMetadata ? { metadata: properties } : {}),
        }));
        return [200, { matches, namespace, usage: { readUnits: 1 } }];
      }
      case "POST /vectors/delete": {
        const { ids, namespace } = deleteSchema.parse(body);
        for (const id of ids) tableOf(`${at} ${namespace}`).kept.delete(id);
        return [200, {}];
      }
      case "GET /vectors/list": {
        const limit = Number(query.get("limit") ?? 100);
        const after = query.get("paginationToken") ?? "";
        const namespace = query.get("namespace") ?? "";
        const rest = [...tableOf(`${at} ${namespace}`).kept.keys()].sort().filter((id) => id > after);
        const page = rest.slice(0, limit);
        const more = rest.length > limit ? { pagination: { next: page.at(-1) } } : {};
        return [200, { vectors: page.map((id) => ({ id })), namespace, usage: { readUnits: 1 }, ...more }];
      }
    }
    return [404, { error: { code: "NOT_FOUND", message: path }, status: 404 }];
  };
  const server = await serveJson(answer);
  url = server.url;
  return server;
}
