type JsonObject = Record<string, unknown>;

/** Deeper schemas are refused, so that a hostile one cannot exhaust the stack; OpenAI allows ten levels. */
const DEPTH_LIMIT = 40;

/**
 * Checks a schema by OpenAI's rules for strict structured outputs: the root is an object, and every object in it
 * has `additionalProperties: false` and lists all of its properties as required. Returns what is wrong, with the
 * path, in OpenAI's words; undefined when nothing is. Source: platform.openai.com, "Structured Outputs, supported
 * schemas", and the API's own messages.
 */
export function strictSchemaProblem(schema: JsonObject | undefined): string | undefined {
  if (schema?.["type"] !== "object") return 'In context=(), schema must have type "object" at its root.';
  return problemAt(schema, []);
}

function problemAt(schema: JsonObject, path: string[]): string | undefined {
  const context = `In context=(${path.map((part) => `'${part}'`).join(", ")})`;
  if (path.length > DEPTH_LIMIT) return `${context}, the schema is nested too deeply.`;
  const unsupported = ["oneOf", "allOf", "not"].find((keyword) => Object.hasOwn(schema, keyword));
  if (unsupported) return `${context}, '${unsupported}' is not permitted.`;
  const properties = isObject(schema["properties"]) ? schema["properties"] : {};
  if (isObjectType(schema)) {
    if (schema["additionalProperties"] !== false) {
      return `${context}, 'additionalProperties' is required to be supplied and to be false.`;
    }
    const required: unknown[] = Array.isArray(schema["required"]) ? schema["required"] : [];
    const missing = Object.keys(properties).find((name) => !required.includes(name));
    if (missing !== undefined) {
      return `${context}, 'required' is required to be supplied and to be an array including every key in properties. Missing '${missing}'.`;
    }
    const extra = required.find((name) => typeof name !== "string" || !Object.hasOwn(properties, name));
    if (extra !== undefined) return `${context}, 'required' has the key '${String(extra)}', which is no property.`;
  }
  for (const [part, inner] of innerSchemas(schema)) {
    const problem = problemAt(inner, [...path, ...part]);
    if (problem !== undefined) return problem;
  }
  return undefined;
}

function isObjectType(schema: JsonObject): boolean {
  const type = schema["type"];
  return type === "object" || (Array.isArray(type) && type.includes("object")) || isObject(schema["properties"]);
}

function innerSchemas(schema: JsonObject): [string[], JsonObject][] {
  const named = ["properties", "$defs", "definitions"].flatMap((keyword) => {
    const group = schema[keyword];
    return isObject(group) ? Object.entries(group).map(([name, inner]) => [[keyword, name], inner] as const) : [];
  });
  const anyOf: unknown[] = Array.isArray(schema["anyOf"]) ? schema["anyOf"] : [];
  const listed = anyOf.map((inner, at) => [["anyOf", String(at)], inner] as const);
  return [...named, ...listed, [["items"], schema["items"]] as const].flatMap(
    ([part, inner]): [string[], JsonObject][] => (isObject(inner) ? [[[...part], inner]] : []),
  );
}

/**
 * Says where a value does not fit a strict schema: a required key that is missing or a value outside its enum, at
 * the top level only. Undefined when it fits as far as that is checked.
 */
export function misfit(schema: JsonObject | undefined, value: unknown): string | undefined {
  if (!isObject(value)) return "it is no JSON object";
  const properties = isObject(schema?.["properties"]) ? schema["properties"] : {};
  for (const [name, property] of Object.entries(properties)) {
    if (!Object.hasOwn(value, name)) return `it lacks the key '${name}'`;
    const allowed = isObject(property) ? property["enum"] : undefined;
    if (Array.isArray(allowed) && !allowed.includes(value[name])) {
      return `'${name}' is ${JSON.stringify(value[name])}, which is not in ${JSON.stringify(allowed)}`;
    }
  }
  return undefined;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
