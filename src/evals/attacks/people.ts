/** The user who is attacked. */
export const ANA = "ana@home.example";
/** Another user of the same store. */
export const BO = "bo@home.example";
/** A person whom the user knows, and whose memories are for her alone. */
export const CARLA = "carla@client.example";
/** The attacker. */
export const EVE = "eve@evil.example";
/** When all of it happens. */
export const AT = "2026-03-02T09:00:00.000Z";
