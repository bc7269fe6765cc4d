import { z } from "zod";
import { DEFAULT_WORKING_HOURS, timeZoneSchema, workingHoursSchema } from "../mail/calendar.ts";

/** What the user says about themselves. Everything in it is the user's word. */
export const profileSchema = z.object({
  name: z.string().optional(),
  addresses: z.array(z.string()).default([]),
  time_zone: timeZoneSchema.default(() => Intl.DateTimeFormat().resolvedOptions().timeZone),
  working_hours: workingHoursSchema.default(DEFAULT_WORKING_HOURS),
  about: z.string().optional(),
});

/** See {@link profileSchema}. */
export type Profile = z.infer<typeof profileSchema>;

/** The key of the profile in its namespace. */
export const PROFILE_KEY = "profile";

/** The profile as a prompt shows it. */
export function renderProfile(profile: Profile): string {
  const { name, addresses, about, time_zone, working_hours } = profile;
  return [
    name ? `Name: ${name}` : "Name: not known",
    ...(addresses.length > 0 ? [`Addresses: ${addresses.join(", ")}`] : []),
    `Time zone: ${time_zone}; working hours ${working_hours.start} to ${working_hours.end}, ${working_hours.days.join(", ")}`,
    ...(about ? [about] : []),
  ].join("\n");
}
