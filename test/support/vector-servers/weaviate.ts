import { pathToFileURL } from "node:url";
import { z } from "zod";
import { importVectorPackage, vectorPackageFile } from "./packages.ts";
import { type Answer, type Asked, type Kept, type Loopback, serveJson, Table } from "./table.ts";

const UNAUTHENTICATED = 16;
const CONTAINS_ANY = 12;

const serverPackage = z.object({
  createServer: z.custom<() => GrpcServer>((value) => typeof value === "function"),
  ServerError: z.custom<new (code: number, details: string) => Error>((value) => typeof value === "function"),
});
interface GrpcServer {
  add(definition: object, implementation: object): void;
  listen(address: string): Promise<number>;
  forceShutdown(): void;
}

const definitionSchema = z.object({ WeaviateDefinition: z.object({}).loose() });
const healthSchema = z.object({ HealthDefinition: z.object({}).loose() });
const contextSchema = z.object({ metadata: z.custom<{ get(name: string): unknown }>() });
const schemaSchema = z.object({
  class: z.string(),
  vectorizer: z.literal("none"),
  vectorIndexConfig: z.object({ distance: z.literal("cosine") }),
  properties: z.array(z.object({ name: z.string(), dataType: z.tuple([z.literal("text")]), tokenization: z.string() })),
});
const bytes = z.instanceof(Uint8Array);
const filterSchema = z
  .object({
    operator: z.literal(CONTAINS_ANY),
    target: z.object({ property: z.string() }),
    valueTextArray: z.object({ values: z.array(z.string()) }),
  })
  .optional();
const searchSchema = z.object({
  ...{ collection: z.string(), limit: z.int(), after: z.string(), filters: filterSchema },
  properties: z.object({ nonRefProperties: z.array(z.string()), returnAllNonrefProperties: z.boolean() }).optional(),
  metadata: z.object({ vector: z.boolean(), distance: z.boolean() }).optional(),
  nearVector: z
    .object({ vectorBytes: bytes.optional(), vectors: z.array(z.object({ vectorBytes: bytes })) })
    .optional(),
});
const batchSchema = z.object({
  objects: z.array(
    z.object({
      ...{ uuid: z.uuid(), collection: z.string(), vectorBytes: bytes },
      vectors: z.array(z.object({ vectorBytes: bytes })),
      properties: z.object({ nonRefProperties: z.record(z.string(), z.string()) }),
    }),
  ),
});
const deleteSchema = z.object({ collection: z.string(), filters: filterSchema });

/**
 * A server on this machine that speaks as much of Weaviate's documented protocol as a store of vectors needs: REST for
 * the schema, and gRPC, in the messages of the client's own package, for objects and searches. `url` is that of REST.
 */
export async function startWeaviate(options: { apiKey?: string } = {}): Promise<Loopback & { grpcPort: number }> {
  const { createServer, ServerError } = serverPackage.parse(await importVectorPackage("nice-grpc"));
  const proto = async (path: string): Promise<unknown> =>
    import(pathToFileURL(vectorPackageFile(`weaviate-client/dist/node/esm/proto/${path}`)).href);
  const { WeaviateDefinition } = definitionSchema.parse(await proto("v1/weaviate.js"));
  const { HealthDefinition } = healthSchema.parse(await proto("google/health/v1/health.js"));
  const classes = new Map<string, { schema: unknown; table: Table }>();
  const lengths = new Map<string, number>();
  const wanted = options.apiKey === undefined ? undefined : `Bearer ${options.apiKey}`;

  const answer = ({ method, path, headers, body }: Asked): Answer => {
    if (path === "/v1/.well-known/openid-configuration") return [404, { error: [{ message: "not configured" }] }];
    if (path.startsWith("/v1/.well-known/")) return [200, {}];
    if (wanted !== undefined && headers.authorization !== wanted) {
      return [401, { error: [{ message: "anonymous access not enabled, please provide an auth scheme" }] }];
    }
    if (path === "/v1/meta") return [200, { version: "1.32.0", hostname: "loopback", modules: {} }];
    if (method === "POST" && path === "/v1/schema") {
      const schema = schemaSchema.parse(body);
      if (classes.has(schema.class))
        return [422, { error: [{ message: `class name ${schema.class} already exists` }] }];
      classes.set(schema.class, { schema: body, table: new Table() });
      return [200, body];
    }
    if (path === "/v1/schema") return [200, { classes: [...classes.values()].map(({ schema }) => schema) }];
    const [, name = ""] = /^\/v1\/schema\/(.+)$/.exec(path) ?? [];
    const found = classes.get(name);
    if (method === "GET" && found) return [200, found.schema];
    return [404, { error: [{ message: `${path} not found` }] }];
  };

  const tableOf = (name: string, context: unknown): Table => {
    const given = contextSchema.parse(context).metadata.get("authorization");
    if (wanted !== undefined && given !== wanted) throw new ServerError(UNAUTHENTICATED, "unauthorized");
    const found = classes.get(name);
    if (!found) throw new ServerError(2, `could not find class ${name} in schema`);
    return found.table;
  };
  const service = {
    async search(request: unknown, context: unknown) {
      const asked = searchSchema.parse(request);
      const table = tableOf(asked.collection, context);
      const near = asked.nearVector && (asked.nearVector.vectors[0]?.vectorBytes ?? asked.nearVector.vectorBytes);
      const passes = passing(asked.filters);
      const byId = [...table.kept.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
      const listed = byId
        .filter((each) => passes(each) && each.id > asked.after)
        .map((each) => ({ ...each, score: 0 }));
      const found = near ? table.nearest(numbersOf(near), asked.limit, passes) : listed.slice(0, asked.limit || 100);
      const fields = ({ properties }: Kept) =>
        Object.entries(properties)
          .filter(([name]) => asked.properties?.nonRefProperties.includes(name))
          .map(([name, value]) => [name, { textValue: String(value) }]);
      return {
        took: 0,
        results: found.map((each) => ({
          properties: { nonRefProps: { fields: Object.fromEntries(fields(each)) } },
          metadata: {
            ...{ id: each.id, distance: 1 - each.score, distancePresent: near !== undefined },
            ...(asked.metadata?.vector ? { vectorBytes: bytesOf(each.vector) } : {}),
          },
        })),
      };
    },
    async batchObjects(request: unknown, context: unknown) {
      const errors = batchSchema.parse(request).objects.flatMap(({ uuid, collection, properties, ...given }, index) => {
        const table = tableOf(collection, context);
        const vector = numbersOf(given.vectors[0]?.vectorBytes ?? given.vectorBytes);
        // The first decides, also when it is gone.
        const length = lengths.get(collection) ?? vector.length;
        lengths.set(collection, length);
        if (length !== vector.length) {
          const error = `new node has a vector with length ${vector.length}. Existing nodes have vectors with length ${length}`;
          return [{ index, error }];
        }
        table.kept.set(uuid, { id: uuid, vector, properties: properties.nonRefProperties });
        return [];
      });
      return { took: 0, errors };
    },
    async batchDelete(request: unknown, context: unknown) {
      const { collection, filters } = deleteSchema.parse(request);
      const table = tableOf(collection, context);
      const gone = [...table.kept.values()].filter(passing(filters));
      for (const { id } of gone) table.kept.delete(id);
      return { took: 0, failed: 0, matches: gone.length, successful: gone.length, objects: [] };
    },
  };
  const unused = () => Promise.reject(new Error("this is not spoken here"));
  const grpc = createServer();
  grpc.add(WeaviateDefinition, {
    ...{ ...service, batchReferences: unused, tenantsGet: unused, aggregate: unused, batchStream: unused },
  });
  grpc.add(HealthDefinition, { check: async () => ({ status: 1 }), watch: unused });
  const grpcPort = await grpc.listen("127.0.0.1:0");
  const rest = await serveJson(answer);
  return {
    ...{ url: rest.url, port: rest.port, grpcPort },
    async stop() {
      grpc.forceShutdown();
      await rest.stop();
    },
  };
}

/** A filter of the one form that is used: a property, or the id, is any of some texts. */
function passing(filter: z.infer<typeof filterSchema>): (kept: Kept) => boolean {
  if (!filter) return () => true;
  const { target, valueTextArray } = filter;
  return ({ id, properties }) =>
    valueTextArray.values.some((each) => each === (target.property === "_id" ? id : properties[target.property]));
}

function numbersOf(vector: Uint8Array): number[] {
  // Copied, since it may lie anywhere in a larger buffer.
  return [...new Float32Array(new Uint8Array(vector).buffer)];
}

function bytesOf(vector: readonly number[]): Uint8Array {
  return new Uint8Array(Float32Array.from(vector).buffer);
}
