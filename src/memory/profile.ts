import { z } from "zod";
import { addressList, cleanText, oneLine, splitLines } from "../email.ts";
import { MnemailError } from "../errors.ts";
import { DEFAULT_WORKING_HOURS, timeZoneSchema, workingHoursSchema } from "../mail/calendar.ts";
import { userNamespaces } from "../store/namespaces.ts";
import type { StoreAccess } from "./access.ts";

const TEXT_LIMIT = 500;
const SIGNATURE_LINES = 8;
const MOST_ADDRESSES = 20;
/** RFC 5321 §4.5.3.1: 64 characters before the @, 255 behind it. */
const ADDRESS_LIMIT = 320;
const ATTEMPTS = 20;

const isShort = (text: string) => text.length <= TEXT_LIMIT;
const tooLong = `expected at most ${TEXT_LIMIT} characters`;
const lines = z
  .string()
  .transform((text) => splitLines(cleanText(text)).map(oneLine).join("\n").trim())
  .refine(isShort, tooLong);
const address = z
  .string()
  .refine((text) => text.length <= ADDRESS_LIMIT && addressList(cleanText(text)).length === 1, {
    message: "expected an address such as alice@example.com",
    abort: true,
  })
  .transform((text) => addressList(cleanText(text))[0] ?? "");

/** What the user says about themselves; what they did not say is not there. Everything in it is the user's word. */
export const profileFieldsSchema = z.object({
  name: z
    .string()
    .transform((text) => oneLine(cleanText(text)))
    .refine(isShort, tooLong)
    .optional(),
  addresses: z.array(address).max(MOST_ADDRESSES, `expected at most ${MOST_ADDRESSES} addresses`).optional(),
  time_zone: timeZoneSchema.optional(),
  working_hours: workingHoursSchema.optional(),
  signature: lines
    .refine((text) => text.split("\n").length <= SIGNATURE_LINES, `expected at most ${SIGNATURE_LINES} lines`)
    .optional(),
  about: lines.optional(),
});

/** See {@link profileFieldsSchema}. */
export type ProfileFields = z.infer<typeof profileFieldsSchema>;

/** A profile as it is used: what the user did not say has a default. Parses {@link ProfileFields}, and refuses others. */
export const profileSchema = profileFieldsSchema.extend({
  addresses: profileFieldsSchema.shape.addresses.default([]),
  time_zone: timeZoneSchema.default(() => Intl.DateTimeFormat().resolvedOptions().timeZone),
  working_hours: workingHoursSchema.default(DEFAULT_WORKING_HOURS),
});

/** See {@link profileSchema}. */
export type Profile = z.infer<typeof profileSchema>;

/** The key of the profile in its namespace. */
export const PROFILE_KEY = "profile";

const recordSchema = z.record(z.string(), z.unknown());

/** What is said in a stored profile. A field that is not as it should be costs only itself. */
export function readProfileFields(value: unknown): ProfileFields {
  const record = recordSchema.safeParse(value).data ?? {};
  const whole = profileFieldsSchema.safeParse(record);
  if (whole.success) return whole.data;
  const unfit = new Set(whole.error.issues.map(({ path }) => path[0]));
  return profileFieldsSchema.parse(Object.fromEntries(Object.entries(record).filter(([name]) => !unfit.has(name))));
}

/** A stored profile as it is used: {@link readProfileFields}, with defaults for the rest. */
export function readProfile(value: unknown): Profile {
  const text = JSON.stringify(value ?? null);
  const profile = PROFILES.get(text) ?? profileSchema.parse(readProfileFields(value));
  PROFILES.set(text, profile);
  const [oldest] = PROFILES.keys();
  if (PROFILES.size > KNOWN_PROFILES && oldest !== undefined) PROFILES.delete(oldest);
  return structuredClone(profile);
}

/** Profiles by their JSON: each is read up to three times an email, and parsing it takes longer than the rest of that. */
const PROFILES = new Map<string, Profile>();
const KNOWN_PROFILES = 1_000;

/** The profile as a prompt shows it. */
export function renderProfile(profile: Profile): string {
  const { name, addresses, signature, about, time_zone, working_hours } = profile;
  return [
    name ? `Name: ${name}` : "Name: not known",
    ...(signature ? [`Signature: ${signature.split("\n").filter(Boolean).join(" / ")}`] : []),
    ...(addresses.length > 0 ? [`Addresses: ${addresses.join(", ")}`] : []),
    `Time zone: ${time_zone}; working hours ${working_hours.start} to ${working_hours.end}, ${working_hours.days.join(", ")}`,
    ...(about ? [about] : []),
  ].join("\n");
}

/** The profiles of all users. Methods throw MnemailError("store") when the store fails. */
export class Profiles {
  readonly #access: StoreAccess;

  constructor(access: StoreAccess) {
    this.#access = access;
  }

  /** What a user says about themselves. */
  async read(userId: string): Promise<ProfileFields> {
    const [item] = await this.#access.batch([{ namespace: userNamespaces(userId).profile, key: PROFILE_KEY }]);
    return readProfileFields(item?.value);
  }

  /**
   * Writes what `change` makes of a profile, and returns that. `change` is asked again where another wrote meanwhile, so
   * that two changes at once lose nothing.
   */
  async change(userId: string, change: (fields: ProfileFields) => ProfileFields): Promise<ProfileFields> {
    const at = { namespace: userNamespaces(userId).profile, key: PROFILE_KEY };
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const [item] = await this.#access.batch([at]);
      const changed = profileFieldsSchema.parse(change(readProfileFields(item?.value)));
      const put = { ...at, value: changed, expected: item?.value ?? null, index: false as const };
      if (await this.#access.putIf([put])) return changed;
    }
    throw new MnemailError("store", `the profile changed ${ATTEMPTS} times while it was updated`, "try again");
  }
}
