import { z } from "zod";
import { type Answer, type Asked, type Kept, type Loopback, serveJson, Table } from "./table.ts";

const filterSchema = z
  .strictObject({
    must: z.tuple([z.strictObject({ key: z.string(), match: z.strictObject({ any: z.array(z.string()) }) })]),
  })
  .optional();
const id = z.uuid();
const createSchema = z.object({ vectors: z.object({ size: z.int().positive(), distance: z.enum(["Cosine", "Dot"]) }) });
const upsertSchema = z.object({
  points: z.array(z.object({ id, vector: z.array(z.number()), payload: z.record(z.string(), z.unknown()) })),
});
const deleteSchema = z.object({ points: z.array(id) });
const querySchema = z.object({ query: z.array(z.number()), limit: z.int().positive(), filter: filterSchema });
const scrollSchema = z.object({ limit: z.int().positive(), filter: filterSchema, offset: id.nullish() });
const indexSchema = z.object({ field_name: z.string(), field_schema: z.literal("keyword") });

interface Collection {
  size: number;
  distance: string;
  table: Table;
  indexed: Set<string>;
}

/**
 * A server on this machine that speaks as much of Qdrant's documented REST API as a store of vectors needs, with the
 * strictness of its cloud: fields that are filtered by have to have an index.
 */
export async function startQdrant(options: { apiKey?: string } = {}): Promise<Loopback> {
  const collections = new Map<string, Collection>();
  const ok = (result: unknown): Answer => [200, { result, status: "ok", time: 0.0001 }];
  const bad = (status: number, error: string): Answer => [status, { status: { error }, time: 0 }];

  const answer = ({ method, path, headers, body }: Asked): Answer => {
    if (options.apiKey !== undefined && headers["api-key"] !== options.apiKey) {
      return [401, "Must provide an API key or an Authorization bearer token"];
    }
    if (path === "/collections") return ok({ collections: [...collections.keys()].map((name) => ({ name })) });
    const [, name = "", action = ""] = /^\/collections\/([^/]+)(?:\/(.*))?$/.exec(path) ?? [];
    const found = collections.get(name);
    if (method === "PUT" && action === "") {
      if (found) return bad(409, `Wrong input: Collection \`${name}\` already exists!`);
      const { size, distance } = createSchema.parse(body).vectors;
      collections.set(name, { size, distance, table: new Table(), indexed: new Set() });
      return ok(true);
    }
    if (!found) return bad(404, `Not found: Collection \`${name}\` doesn't exist!`);
    const { size, distance, table, indexed } = found;
    const refused = (vector: readonly number[]) =>
      bad(400, `Wrong input: Vector dimension error: expected dim: ${size}, got ${vector.length}`);
    const passes = (filter: z.infer<typeof filterSchema>) => {
      const [condition] = filter?.must ?? [];
      if (!condition) return () => true;
      if (!indexed.has(condition.key)) throw new Error(`Index required but not found for "${condition.key}"`);
      return ({ properties }: Kept) => {
        const value = condition.key.split(".").reduce<unknown>((at, step) => Object(at)[step], properties);
        return condition.match.any.some((each) => each === value);
      };
    };
    switch (`${method} ${action}`) {
      case "GET ":
        return ok({ status: "green", config: { params: { vectors: { size, distance } } } });
      case "DELETE ":
        return ok(collections.delete(name));
      case "PUT index":
        indexed.add(indexSchema.parse(body).field_name);
        return ok({ operation_id: 0, status: "completed" });
      case "PUT points": {
        const { points } = upsertSchema.parse(body);
        const wrong = points.find(({ vector }) => vector.length !== size);
        if (wrong) return refused(wrong.vector);
        for (const { id, vector, payload } of points) table.kept.set(id, { id, vector, properties: payload });
        return ok({ operation_id: 1, status: "completed" });
      }
      case "POST points/delete":
        for (const id of deleteSchema.parse(body).points) table.kept.delete(id);
        return ok({ operation_id: 2, status: "completed" });
      case "POST points/query": {
        const { query, limit, filter } = querySchema.parse(body);
        if (query.length !== size) return refused(query);
        const nearest = table.nearest(query, limit, passes(filter));
        return ok({
          points: nearest.map(({ id, score, properties }) => ({ id, version: 1, score, payload: properties })),
        });
      }
      case "POST points/scroll": {
        const { limit, filter, offset } = scrollSchema.parse(body);
        const ids = [...table.kept.values()].filter(passes(filter)).map(({ id }) => id);
        const rest = ids.sort().filter((id) => !offset || id >= offset);
        return ok({ points: rest.slice(0, limit).map((id) => ({ id })), next_page_offset: rest[limit] ?? null });
      }
    }
    return bad(404, "");
  };
  return serveJson(answer);
}
