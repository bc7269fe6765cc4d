import { BEYOND } from "./beyond.ts";
import { FILTERS } from "./filters.ts";
import { HANDLES } from "./handles.ts";
import { ITEMS } from "./items.ts";
import { RANKING } from "./rankings.ts";
import { SEARCHES } from "./searches.ts";

/** What each store breaks of the contract, by clause, and why. Those of LangGraph's own are why there is one of ours. */
type Differences = Record<string, string>;

const names = [...ITEMS, ...FILTERS, ...SEARCHES, ...RANKING, ...BEYOND, ...HANDLES].map(({ name }) => name);

/** The clauses that begin so, with one reason; a beginning that no clause has stays, and fails as no clause. */
function differences(beginnings: Differences): Differences {
  return Object.fromEntries(
    Object.entries(beginnings).map(([beginning, reason]) => [
      names.find((name) => name.startsWith(beginning)) ?? beginning,
      reason,
    ]),
  );
}

const ONE_PROCESS = "it belongs to the process that opened it";
const GONE = "it is gone when it is closed";

/** SQLite. */
export const SQLITE: Differences = {};

/** A program's own `Map`. */
export const MAP: Differences = {};

/** Documents in SQLite, vectors in a vector store. */
export const HYBRID = differences({
  "sweeping removes what is expired": "what has expired when it is restored gets no vector",
});

const ONE_LENGTH = "a collection keeps vectors of one length: a model of other dimensions begins in another collection";

/** The same, where the vectors are in a database. */
export const HYBRID_DATABASE = {
  ...HYBRID,
  ...differences({
    "with another embedding model": ONE_LENGTH,
    "where no vector is left": ONE_LENGTH,
  }),
};

/** The same in Pinecone, whose indexes are made beforehand. */
export const HYBRID_PINECONE = {
  ...HYBRID_DATABASE,
  ...differences({ "hybrid finds what words alone": "an index is made for vectors of one length beforehand, here 64" }),
};

/** Files in a folder. */
export const FILE: Differences = {};

const EXPIRED_BY_REDIS = "Redis removes what is expired by itself, so that none is left for a sweep to count";

/** Redis. */
export const REDIS = differences({
  "sweeping removes": EXPIRED_BY_REDIS,
  "what comes after a drop": EXPIRED_BY_REDIS,
  "an expired item equals no value": EXPIRED_BY_REDIS,
});

/** S3. */
export const S3 = differences({
  "of two handles that change": "a batch is not all or nothing: of one that another overtook, the first half is made",
});

const OF_ONE_PROCESS: Differences = {
  "of many that put": ONE_PROCESS,
  "of many fleeting puts": ONE_PROCESS,
  "of two handles that change": ONE_PROCESS,
  "what comes after a drop": ONE_PROCESS,
  "reindexing beside": ONE_PROCESS,
  "a search by vectors of another length": ONE_PROCESS,
  "of two handles that increment": ONE_PROCESS,
  "of two handles that write": ONE_PROCESS,
  "pages are as of one moment": ONE_PROCESS,
  "what another handle puts": ONE_PROCESS,
  "with another embedding model": ONE_PROCESS,
};

/** `memory:`. */
export const MEMORY = differences({
  ...OF_ONE_PROCESS,
  "reindexing beside": GONE,
  "where no vector is left": GONE,
  "everything is there after reopening": GONE,
  "vectors of other dimensions": GONE,
  "with another embedding model": GONE,
  "what was put without embeddings": GONE,
});

/** `memory:?snapshot=FILE`: another handle on the file is refused as long as the first is open. */
export const SNAPSHOT = differences(OF_ONE_PROCESS);

const NOT_VECTORS = "the server has no pgvector: words rank, and fields wait for their vectors";

/** Ours on any PostgreSQL. */
const ON_ANY_POSTGRES = differences({
  "a filter for what no store": "the database's own error comes through",
});

/** Ours on PostgreSQL. */
export const POSTGRES = ON_ANY_POSTGRES;

/** Ours on a PostgreSQL without pgvector. */
export const WITHOUT_VECTORS = {
  ...ON_ANY_POSTGRES,
  ...differences({
    "hybrid finds what words alone": NOT_VECTORS,
    "paths name": NOT_VECTORS,
    "a model that changes": "no vector is kept, so none is of another length",
    "a search by vectors of another length": "no vector is kept, so none is of another length",
    "when embedding fails, nothing": "nothing is embedded, so nothing fails",
    "reindexing beside": NOT_VECTORS,
    "where no vector is left": NOT_VECTORS,
    "items without a vector": NOT_VECTORS,
    "only the named fields": NOT_VECTORS,
    "when embedding fails": "nothing is embedded, so nothing fails",
    "the texts of a batch": "nothing is embedded",
    "a query that is expected": "nothing is embedded",
    "where embedding an expected query fails": "nothing is embedded, so nothing fails",
    "sweeping removes": NOT_VECTORS,
    "dropping takes": NOT_VECTORS,
    "everything is there after reopening": NOT_VECTORS,
    "vectors of other dimensions": "no vector is kept, so none is of other dimensions",
    "with another embedding model": NOT_VECTORS,
    "what was put without embeddings": NOT_VECTORS,
  }),
};

const OURS_ALONE: Differences = {
  ...Object.fromEntries(
    [...RANKING, ...BEYOND, ...HANDLES].map(({ name }) => [name, "LangGraph's contract has no such method"]),
  ),
  ...differences({
    "hybrid finds": "LangGraph's contract has one ranking",
    "the texts of a batch": "each text is embedded in a call of its own, and each query again",
    "a query that is expected": "LangGraph's contract has no such method",
    "where embedding an expected query fails": "LangGraph's contract has no such method",
  }),
};

/** LangGraph's `InMemoryStore` of @langchain/langgraph-checkpoint 1.1.5. */
export const IN_MEMORY_STORE: Differences = {
  ...OURS_ALONE,
  ...differences({
    "what a caller does to a value": "it hands out live references",
    "a batch answers in the order": "reads of a batch see its writes",
    "one bad operation": "batch checks nothing",
    "a search that is refused": "batch checks nothing",
    "what a caller does to a value while": "it keeps the caller's own object",
    "filters order no lists": "operands are turned into numbers",
    "a value that is no object": "it takes any value",
    "a namespace without items": "it goes on listing it",
    "a prefix matches whole labels": "user1 finds user10: prefixes match as text",
    "labels with the wildcards": "prefixes match as text",
    "filters compare texts and dates": "operands are turned into numbers",
    "filters compare lists and objects": "lists and objects are compared by reference",
    "filters tell kinds of values apart": "operands are turned into numbers",
    "a missing field is null": "a missing field equals nothing",
    "an unknown operator": "it matches nothing, in silence",
    "a search that cannot be meant": "any limit and offset are taken",
    "without a query the newest": "the oldest key comes first",
    "pages follow each other": "with a query, items without a vector are repeated",
    "a deleted or replaced item": "vectors of deleted items stay, and are found again",
    "a query without embeddings": "the query is ignored",
    "the words of other users": "it ranks no words",
    "when embedding fails": "a search fails too",
  }),
};

/** LangGraph's `PostgresStore` of @langchain/langgraph-checkpoint-postgres 1.0.5, its labels encoded. */
export const UPSTREAM_POSTGRES: Differences = {
  ...OURS_ALONE,
  ...differences({
    "a batch answers in the order": "reads of a batch see its writes",
    "one bad operation": "a batch is no transaction: earlier puts stay",
    "a search that is refused": "it refuses no search",
    "what a caller does to a value while": "the value is written down after its texts were embedded",
    "filters order no lists": "$gt and the like cast to numbers, and fail on anything else",
    "a filter for what no store": "the database's own error comes through",
    "a value that is no object": "it takes lists",
    "an empty prefix": "it is refused",
    "filters compare texts and dates": "$gt and the like cast to numbers, and fail on anything else",
    "filters compare lists and objects": "equality compares text",
    "filters tell kinds of values apart": 'equality compares text: 1 equals "1"',
    "a missing field is null": "null equals nothing",
    "an unknown operator": "it is ignored, and everything is found",
    "a search that cannot be meant": "what PostgreSQL says comes through",
    "pages follow each other": "items without a vector are left out of a query",
    "items without a vector": "they are left out of a query",
    "a deleted or replaced item": "index: false keeps the old vector",
    "a query without embeddings": "items that do not match are left out",
    "words follow the language": "words are always English",
    "the words of other users": "it gives no scores to words",
    "when embedding fails": "the put fails, and its value is stored",
  }),
};
