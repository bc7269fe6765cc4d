/**
 * The library: `import { openAssistant, loadConfig } from "mnemail"`. The one file that gathers others' exports, since a
 * package has one entry.
 */

export { createEmailAssistant, type EmailAssistant, type EmailAssistantParts } from "./agent/graph.ts";
export type { Decision } from "./agent/review.ts";
export { type AssistantOptions, type OpenAssistant, openAssistant } from "./assistant.ts";
export { type Config, loadConfig } from "./config.ts";
export { type Email, emailSchema } from "./email.ts";
export { type ErrorCode, MnemailError } from "./errors.ts";
export type { AssistantEvent, EmailResult } from "./handle.ts";
export type { Feedback } from "./learning/feedback.ts";
export { parseEml } from "./mail/eml.ts";
export { type Acted, createFileOutbox, type Outbox, type OutgoingEmail, type OutgoingEvent } from "./mail/outbox.ts";
export { createManageMemoryTool, createSearchMemoryTool } from "./memory-tools.ts";
export { type OpenModels, openModels } from "./models.ts";
export type { PendingReview } from "./reviews/pending-reviews.ts";
export type { Decided, Preview, Reviews } from "./reviews/reviews.ts";
export { createVectorIndex, type VectorStoreTraits } from "./store/hybrid/langchain-index.ts";
export type { VectorIndex } from "./store/hybrid/vector-index.ts";
export type { KeyChange, KeyValue } from "./store/key-value/key-value.ts";
export { createKeyValueDriver } from "./store/key-value/key-value-driver.ts";
export { mapKeyValue } from "./store/key-value/map.ts";
export { MnemailStore } from "./store/mnemail-store.ts";
export { openStore } from "./store/open-store.ts";
export { loadStore, saveStore } from "./store/snapshots.ts";
export { updateAgentFromFeedback } from "./update-from-feedback.ts";
