import { type BaseMessage, HumanMessage, SystemMessage } from "@langchain/core/messages";
import { addressList, type Email, isPlainAddress, renderEmail } from "../email.ts";
import type { Memory } from "../memory/memory.ts";
import { usedPrompts, usedRules } from "../memory/procedural.ts";
import { type Profile, renderProfile } from "../memory/profile.ts";
import { renderMemories, usedMemories } from "../memory/recall.ts";
import type { UsedMemory, UsedPrompt } from "../memory/records.ts";
import { type Prompts, renderPrompt } from "../prompts.ts";

/** The messages an answer begins with, and the memories in them. */
export interface AnswerOpening {
  messages: BaseMessage[];
  memories: UsedMemory[];
  prompts: UsedPrompt[];
  time_zone: string;
  /** The address of the user that the answer comes from. */
  sender: string | null;
}

/**
 * Writes the opening of an answer: the user's instructions as the system message; what is remembered and the
 * email, quoted, as the user message. One store round trip (two the first time).
 */
export async function openAnswer(
  email: Email,
  userId: string,
  { memory, prompts, now }: { memory: Memory; prompts: Prompts; now: Date },
): Promise<AnswerOpening> {
  const known = await memory.readForAnswer(userId, email);
  const system = renderPrompt(prompts.respond, {
    agent_instructions: known.instructions.text,
    profile: renderProfile(known.profile),
  });
  const remembered =
    known.memories.length > 0
      ? `What is remembered:\n\n<memories>\n${renderMemories(known.memories)}\n</memories>\n\n`
      : "";
  return {
    messages: [
      new SystemMessage(system),
      new HumanMessage(
        `${renderNow(now, known.profile)}\n\n${remembered}The email to answer:\n\n<email>\n${renderEmail(email)}\n</email>`,
      ),
    ],
    memories: [...usedRules([known.instructions]), ...usedMemories(known.memories)],
    prompts: usedPrompts([known.instructions]),
    time_zone: known.profile.time_zone,
    sender: ownAddress(userId, known.profile.addresses, email) ?? null,
  };
}

/** The clock of a time zone; to make one takes longer than to read it. */
interface Clock {
  local: Intl.DateTimeFormat;
  weekday: Intl.DateTimeFormat;
}
const CLOCKS = new Map<string, Clock>();

function clockOf(timeZone: string): Clock {
  const known = CLOCKS.get(timeZone);
  if (known) return known;
  const local = new Intl.DateTimeFormat("sv-SE", { timeZone, dateStyle: "short", timeStyle: "short" });
  const clock = { local, weekday: new Intl.DateTimeFormat("en-GB", { timeZone, weekday: "long" }) };
  CLOCKS.set(timeZone, clock);
  return clock;
}

function renderNow(now: Date, { time_zone }: Profile): string {
  const { local, weekday } = clockOf(time_zone);
  return `Now: ${local.format(now).replace(" ", "T")} (${weekday.format(now)}), time zone ${time_zone}.`;
}

/** From which of the user's addresses an answer goes: the one that was written to, else their first, else their id. */
export function ownAddress(
  userId: string,
  addresses: readonly string[],
  email: Pick<Email, "to" | "cc">,
): string | undefined {
  const writtenTo = [email.to, email.cc ?? ""].flatMap(addressList);
  const own = addresses.filter(isPlainAddress);
  const known = own.find((each) => writtenTo.includes(each.toLowerCase())) ?? own[0];
  return known ?? (isPlainAddress(userId) ? userId : undefined);
}
