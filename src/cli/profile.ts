import { z } from "zod";
import { loadConfig } from "../config.ts";
import { MnemailError } from "../errors.ts";
import { DEFAULT_WORKING_HOURS, type Weekday, workingHoursSchema } from "../mail/calendar.ts";
import { StoreAccess } from "../memory/access.ts";
import { type ProfileFields, Profiles, profileFieldsSchema, readProfile } from "../memory/profile.ts";
import { encodeUserId } from "../store/namespaces.ts";
import { note, printJson, shorten } from "./output.ts";
import { openPlainStore } from "./stores.ts";

const WEEKDAYS: readonly Weekday[] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
/** The options that say a field each; hours and days are parts of one. */
const FIELDS = [
  ["name", "name"],
  ["address", "addresses"],
  ["time-zone", "time_zone"],
  ["signature", "signature"],
  ["about", "about"],
] as const;

const showSchema = z.object({ user: z.string(), json: z.boolean().default(false) });
const setSchema = showSchema.extend({
  name: z.string().optional(),
  address: z.array(z.string()).optional(),
  timeZone: z.string().optional(),
  hours: z.string().optional(),
  days: z.string().optional(),
  signature: z.string().optional(),
  about: z.string().optional(),
  unset: z.array(z.string()).default([]),
});

/** The options of `mnemail profile set` by name; undefined where they were not given. */
type Given = Record<(typeof FIELDS)[number][0] | "hours" | "days", string | string[] | undefined>;

/** `mnemail profile show`. Returns the exit code. */
export async function showProfile(rawOptions: unknown): Promise<number> {
  const { user, json } = showSchema.parse(rawOptions);
  encodeUserId(user);
  await using store = await openPlainStore(loadConfig());
  printProfile(user, await new Profiles(new StoreAccess(store, note)).read(user), json);
  return 0;
}

/** `mnemail profile set`: changes what is given and leaves the rest. Returns the exit code. */
export async function setProfile(rawOptions: unknown): Promise<number> {
  const { user, json, unset, timeZone, ...others } = setSchema.parse(rawOptions);
  encodeUserId(user);
  const { name, address, hours, days, signature, about } = others;
  const given: Given = { name, address, "time-zone": timeZone, hours, days, signature, about };
  // Checked before the store is opened.
  const change = readChange(given, new Set(unset));
  await using store = await openPlainStore(loadConfig());
  printProfile(user, await new Profiles(new StoreAccess(store, note)).change(user, change), json);
  return 0;
}

/** What the options make of a profile. @throws MnemailError("usage") that names the option. */
function readChange(given: Given, unset: ReadonlySet<string>): (fields: ProfileFields) => ProfileFields {
  const options = Object.entries(given).filter(([, value]) => value !== undefined);
  if (unset.size === 0 && options.length === 0) {
    throw new MnemailError("usage", "profile set: saw nothing to set; expected an option such as --name TEXT");
  }
  for (const [option] of options) {
    if (unset.has(option)) throw new MnemailError("usage", `--${option}: saw it and --unset ${option}; expected one`);
  }
  const said = readFields(given);
  const hours = unset.has("hours") ? hoursOf(DEFAULT_WORKING_HOURS) : readHours(given.hours);
  const days = unset.has("days") ? { days: DEFAULT_WORKING_HOURS.days } : readDays(given.days);
  const removed = new Set<string>(FIELDS.flatMap(([option, field]) => (unset.has(option) ? [field] : [])));
  return (fields) => {
    const kept = Object.fromEntries(Object.entries(fields).filter(([field]) => !removed.has(field)));
    const working = { ...DEFAULT_WORKING_HOURS, ...fields.working_hours, ...hours, ...days };
    return profileFieldsSchema.parse({ ...kept, ...said, ...(hours || days ? { working_hours: working } : {}) });
  };
}

/** The fields that were given, as they are kept. */
function readFields(given: Given): Record<string, unknown> {
  const values = FIELDS.flatMap(([option, field]) => {
    const value = given[option];
    return value === undefined ? [] : [{ option, field, value }];
  });
  return Object.fromEntries(
    values.map(({ option, field, value }) => {
      const parsed = profileFieldsSchema.shape[field].safeParse(value);
      if (!parsed.success) {
        const [issue] = parsed.error.issues;
        const at = issue?.path[0];
        throw badValue(option, typeof at === "number" ? value[at] : value, issue?.message ?? "expected another value");
      }
      if (parsed.data === "") throw badValue(option, value, `expected text; --unset ${option} takes it away`);
      return [field, parsed.data];
    }),
  );
}

function readHours(given: string | string[] | undefined): { start: string; end: string } | undefined {
  if (given === undefined) return undefined;
  const [start, end, ...more] = String(given).split("-");
  const parsed = workingHoursSchema.safeParse({ ...DEFAULT_WORKING_HOURS, start, end });
  if (parsed.success && more.length === 0) return hoursOf(parsed.data);
  throw badValue("hours", given, "expected a start and a later end, such as 08:00-16:00");
}

function hoursOf({ start, end }: { start: string; end: string }): { start: string; end: string } {
  return { start, end };
}

function readDays(given: string | string[] | undefined): { days: Weekday[] } | undefined {
  if (given === undefined) return undefined;
  const names = String(given)
    .split(",")
    .map((name) => name.trim().toLowerCase());
  const known = (name: string) => WEEKDAYS.some((day) => isDay(name, day));
  if (!names.every(known)) throw badValue("days", given, "expected days such as mon,tue,wed");
  return { days: WEEKDAYS.filter((day) => names.some((name) => isDay(name, day))) };
}

function isDay(name: string, day: Weekday): boolean {
  return name.length >= 3 && day.toLowerCase().startsWith(name);
}

function badValue(option: string, seen: unknown, expected: string): MnemailError {
  const text = Array.isArray(seen) ? `${seen.length} of them` : JSON.stringify(shorten(String(seen), 80));
  return new MnemailError("usage", `--${option}: saw ${text}; ${expected}`);
}

function printProfile(user: string, fields: ProfileFields, json: boolean): void {
  const { name, addresses, time_zone, working_hours, signature, about } = readProfile(fields);
  if (json) {
    printJson({ user, profile: { name, addresses, time_zone, working_hours, signature, about } });
    return;
  }
  const { start, end, days } = working_hours;
  const unsaid = (field: keyof ProfileFields, initial: string) => (fields[field] === undefined ? ` (${initial})` : "");
  const text = (value: string | undefined) =>
    value ? value.split("\n").map((line) => shorten(line, 500)) : ["not set"];
  const rows: [string, string[]][] = [
    ["name", text(name)],
    ["addresses", text(addresses.join(", "))],
    ["time zone", [`${time_zone}${unsaid("time_zone", "not set: this machine's")}`]],
    ["hours", [`${start}-${end} ${days.join(", ")}${unsaid("working_hours", "not set: the default")}`]],
    ["signature", text(signature)],
    ["about", text(about)],
  ];
  console.log(`profile of ${shorten(user)}`);
  for (const [title, [first = "", ...more]] of rows) {
    console.log(`${title.padEnd(9)}  ${first}`);
    for (const line of more) console.log(`${" ".repeat(11)}${line}`.trimEnd());
  }
}
