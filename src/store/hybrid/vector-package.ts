import { z } from "zod";
import { MnemailError } from "../../errors.ts";
import type { VectorPlace } from "../../store-config/vector-place.ts";
import type { VectorIndex } from "./vector-index.ts";

/** What is opened where, once its packages are there. */
export interface Opening {
  place: VectorPlace;
  apiKey: string | undefined;
  importPackage: (name: string) => Promise<unknown>;
}

const failureSchema = z.object({
  message: z.string().catch(""),
  status: z.number().optional().catch(undefined),
  statusCode: z.number().optional().catch(undefined),
  name: z.string().catch(""),
});
const REFUSED = /\b40[13]\b|unauthorized|unauthenticated|forbidden|permission.denied|authorization|invalid api key/i;
const AWAY = /ECONNREFUSED|ECONNRESET|ENOTFOUND|EAI_AGAIN|fetch failed|failed to connect|UNAVAILABLE|socket hang up/i;

/** Something answers that is not the database which a URL names. */
export class OtherServer extends Error {
  constructor(database: string) {
    super(`what answers there is no ${database}`);
  }
}

/** An error of a database's package as one line that names the place and says what to do. */
export function vectorFailure(place: VectorPlace, keyName: string, error: unknown): MnemailError {
  if (error instanceof MnemailError) return error;
  const { message, status, statusCode, name } = failureSchema.catch({ message: String(error), name: "" }).parse(error);
  const text = `${name} ${message} ${error instanceof Error && error.cause ? String(error.cause) : ""}`;
  const options = { cause: error };
  if ([status, statusCode].some((each) => each === 401 || each === 403) || REFUSED.test(text)) {
    return new MnemailError("config", `${place.name}: the credentials are refused`, `set ${keyName}`, options);
  }
  if (error instanceof OtherServer) {
    const hint = "correct host and port in VECTOR_URL";
    return new MnemailError("store", `${place.name}: ${message}`, hint, options);
  }
  if (AWAY.test(text)) return new MnemailError("store", `${place.name}: there is no connection`, undefined, options);
  if (error instanceof z.ZodError) {
    const at = error.issues[0]?.path.join(".") || "its form";
    return new MnemailError("store", `${place.name}: its answer is not one that is known (${at})`, undefined, options);
  }
  const line = message.replace(/\s+/g, " ").trim().slice(0, 300);
  return new MnemailError("store", `${place.name}: ${line || "it failed without a reason"}`, undefined, options);
}

/** The same index, whose errors are {@link vectorFailure}. */
export function withClearErrors(index: VectorIndex, place: VectorPlace, keyName: string): VectorIndex {
  const clear = async <T>(call: () => Promise<T>): Promise<T> => {
    try {
      return await call();
    } catch (error) {
      throw vectorFailure(place, keyName, error);
    }
  };
  const { list } = index;
  return {
    ...{ name: index.name, reach: index.reach },
    dimensions: () => clear(() => index.dimensions()),
    add: (vectors) => clear(() => index.add(vectors)),
    remove: (ids) => clear(() => index.remove(ids)),
    search: (near, limit, where) => clear(() => index.search(near, limit, where)),
    find: (where, dimensions) => clear(() => index.find(where, dimensions)),
    ...(list ? { list: (dimensions: number | undefined) => clear(() => list(dimensions)) } : {}),
    close: () => index.close(),
  };
}

/** @throws MnemailError("store") where vectors of one length meet a collection of another. */
export function refuseOtherDimensions(name: string, held: number, offered: number): void {
  if (held === offered) return;
  throw new MnemailError(
    "store",
    `${name} holds vectors of ${held} dimensions, and the embedding model gives ${offered}`,
    "name another collection in VECTOR_URL, or set the model that made them",
  );
}

/** Tells an object of a package by the methods of it that are called. */
export function withMethods<T>(what: string, ...methods: string[]): z.ZodType<T> {
  return z.custom<T>(
    (value) =>
      value !== null &&
      (typeof value === "object" || typeof value === "function") &&
      methods.every((method) => typeof Reflect.get(value, method) === "function"),
    `this is not the ${what} that is known`,
  );
}

/** Lists cut in pieces of at most `size`. */
export function chunksOf<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}
