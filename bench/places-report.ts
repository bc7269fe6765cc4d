import { DIMENSIONS, LIMIT } from "./data.ts";
import { judgePlaces, type PlacesCase, type PlacesReport } from "./places.ts";
import { PLACES } from "./places-contenders.ts";
import { describeMachine, table } from "./report.ts";

/** What each of ours is compared with beside SQLite. */
const PEERS: ReadonlyMap<string, string> = new Map([
  [PLACES.memory, PLACES.upstream],
  [PLACES.file, PLACES.readFiles],
  [PLACES.redis, PLACES.mget],
]);

/** A run for programs. */
export function placesToJson(report: PlacesReport): string {
  return JSON.stringify({ machine: describeMachine(), ...report, goals: judgePlaces(report) }, null, 2);
}

/** A run for people, in Markdown. */
export function placesToMarkdown(report: PlacesReport): string {
  const { quick, redis, cases } = report;
  return [
    `${new Date().toISOString().slice(0, 10)}; ${describeMachine()}; ${redis ?? "no Redis: redis-server is not on PATH, its cases are skipped"}.`,
    `${DIMENSIONS} dimensions, ${LIMIT} results; times in milliseconds.${quick ? " Quick run: the sizes are not those of the goals." : ""}`,
    ...cases.flatMap((each) => ["", `### ${titleOf(each)}`, "", ...tableOf(each)]),
    "",
    "### Goals of the places",
    "",
    ...table(
      ["goal", "wanted", "found", ""],
      judgePlaces(report).map(({ name, wanted, found, met }) => [
        ...[name, wanted, found],
        quick ? "not judged" : met ? "met" : "MISSED",
      ]),
    ),
  ].join("\n");
}

function titleOf({ operation, size }: PlacesCase): string {
  const count = size.toLocaleString("en");
  return {
    put: "Put of one item with its vector",
    batch: `Batch of ${count} puts`,
    gets: `${count} gets`,
    search: `Hybrid search among ${count} memories of one user, others have some too`,
  }[operation];
}

function tableOf({ results }: PlacesCase): string[] {
  const p50 = (wanted: string | undefined) => results.find(({ name }) => name === wanted)?.timing.p50;
  const against = (own: number, peer: number | undefined) => (peer === undefined ? "" : `${(own / peer).toFixed(2)}x`);
  const rows = results.map(({ name, timing: { p50: own, p90, runs } }) => {
    const peer = PEERS.get(name);
    const other = against(own, p50(peer));
    return [
      ...[name, milliseconds(own), milliseconds(p90), `${runs}`],
      name === PLACES.sqlite ? "" : against(own, p50(PLACES.sqlite)),
      other === "" ? "" : `${other} ${peer}`,
    ];
  });
  return table(["", "p50", "p90", "runs", "p50 against SQLite", "against its peer"], rows);
}

function milliseconds(value: number): string {
  return value.toFixed(value < 10 ? 2 : 1);
}
