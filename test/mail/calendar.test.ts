import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { MnemailError, renderError } from "../../src/errors.ts";
import {
  DEFAULT_WORKING_HOURS,
  loadCalendar,
  renderAvailability,
  timeZoneSchema,
  type WorkingHours,
  workingHoursSchema,
} from "../../src/mail/calendar.ts";

const OSLO = { timeZone: "Europe/Oslo", workingHours: DEFAULT_WORKING_HOURS };
const TUESDAY = "2026-03-10";

let folder = "";
let files = 0;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "mnemail-calendar-"));
});
afterAll(() => rm(folder, { recursive: true }));

async function fileOf(text: string): Promise<string> {
  files += 1;
  const path = join(folder, `${files}.ics`);
  await writeFile(path, text);
  return path;
}

/** An event of these content lines. */
const event = (...lines: string[]) => ["BEGIN:VEVENT", ...lines, "END:VEVENT"];

/** A file of these events and other components. */
const calendarText = (...components: string[][]) =>
  ["BEGIN:VCALENDAR", "VERSION:2.0", ...components.flat(), "END:VCALENDAR", ""].join("\r\n");

const load = async (...components: string[][]) => loadCalendar(await fileOf(calendarText(...components)));

/** The busy times of one day in Oslo, such as `["10:00-11:00"]`. */
async function busyOn(day: string, ...components: string[][]): Promise<string[]> {
  const [found] = (await load(...components)).availability([day], OSLO);
  return (found?.busy ?? []).map(({ start, end }) => `${start}-${end}`);
}

/** Which of these days have a busy time. */
async function busyDays(days: string[], ...components: string[][]): Promise<string[]> {
  const calendar = await load(...components);
  return days.filter((day) => calendar.availability([day], OSLO).some(({ busy }) => busy.length > 0));
}

async function failure(action: () => Promise<unknown>): Promise<string> {
  const error = await action().catch((thrown: unknown) => thrown);
  if (!(error instanceof MnemailError) || error.code !== "calendar") throw new Error(`no such failure: ${error}`);
  expect(error.message).not.toContain("\n");
  return renderError(error);
}

describe("a day shows its free and busy times", () => {
  test("free are the gaps in working hours, busy is the whole day", async () => {
    const calendar = await load(
      event("DTSTART;TZID=Europe/Oslo:20260310T073000", "DTEND;TZID=Europe/Oslo:20260310T081500"),
      event("DTSTART;TZID=Europe/Oslo:20260310T100000", "DTEND;TZID=Europe/Oslo:20260310T113000"),
    );
    expect(calendar.availability([TUESDAY], OSLO)).toEqual([
      {
        day: "2026-03-10",
        weekday: "Tuesday",
        working: true,
        free: [
          { start: "09:00", end: "10:00" },
          { start: "11:30", end: "17:00" },
        ],
        busy: [
          { start: "07:30", end: "08:15" },
          { start: "10:00", end: "11:30" },
        ],
      },
    ]);
  });

  test("each day is one line of text", async () => {
    const calendar = await load(
      event("DTSTART:20260310T100000", "DTEND:20260310T113000"),
      event("DTSTART;VALUE=DATE:20260311"),
      event("DTSTART:20260314T100000", "DTEND:20260314T113000"),
    );
    expect(renderAvailability(calendar.availability([TUESDAY, "2026-03-11", "2026-03-14"], OSLO))).toBe(
      [
        "2026-03-10 (Tuesday): free 09:00-10:00, 11:30-17:00",
        "2026-03-11 (Wednesday): nothing free",
        "2026-03-14 (Saturday): outside working hours",
      ].join("\n"),
    );
  });

  test("a gap of 14 minutes is not free, one of 15 is", async () => {
    const calendar = await load(
      event("DTSTART:20260310T091400", "DTEND:20260310T120000"),
      event("DTSTART:20260310T121500", "DTEND:20260310T170000"),
    );
    expect(calendar.availability([TUESDAY], OSLO)[0]?.free).toEqual([{ start: "12:00", end: "12:15" }]);
  });

  test("days come in the order they were asked for, each once", async () => {
    const calendar = await load();
    const days = calendar.availability(["2026-03-12", TUESDAY, "2026-03-12"], OSLO).map(({ day }) => day);
    expect(days).toEqual(["2026-03-12", TUESDAY]);
  });

  test("nothing that an event says is in the answer", async () => {
    const calendar = await load(
      event(
        "SUMMARY:Secret interview",
        "DESCRIPTION:secret",
        "LOCATION:secret",
        "DTSTART:20260310T100000",
        "DURATION:PT1H",
      ),
    );
    const found = calendar.availability([TUESDAY], OSLO);
    expect(JSON.stringify(found) + renderAvailability(found)).not.toMatch(/secret/i);
  });
});

describe("what blocks", () => {
  test.each<[string, string[], string[]]>([
    ["a confirmed event", ["DTSTART:20260310T100000", "DTEND:20260310T110000"], ["10:00-11:00"]],
    ["a tentative event", ["STATUS:TENTATIVE", "DTSTART:20260310T100000", "DTEND:20260310T110000"], ["10:00-11:00"]],
    ["a cancelled event does not", ["STATUS:CANCELLED", "DTSTART:20260310T100000", "DTEND:20260310T110000"], []],
    ["a transparent event does not", ["TRANSP:TRANSPARENT", "DTSTART:20260310T100000", "DTEND:20260310T110000"], []],
    ["an event of no length does not", ["DTSTART:20260310T100000", "DTEND:20260310T100000"], []],
    ["an event without an end does not", ["DTSTART:20260310T100000"], []],
    ["an event with a length", ["DTSTART:20260310T100000", "DURATION:PT1H30M"], ["10:00-11:30"]],
    ["an all-day event", ["DTSTART;VALUE=DATE:20260310", "DTEND;VALUE=DATE:20260311"], ["00:00-24:00"]],
    ["an all-day event of yesterday does not", ["DTSTART;VALUE=DATE:20260309", "DTEND;VALUE=DATE:20260310"], []],
    [
      "an all-day event that ends as it starts",
      ["DTSTART;VALUE=DATE:20260310", "DTEND;VALUE=DATE:20260310"],
      ["00:00-24:00"],
    ],
    ["a date that is not marked as one", ["DTSTART:20260310"], ["00:00-24:00"]],
    ["a transparent all-day event does not", ["TRANSP:TRANSPARENT", "DTSTART;VALUE=DATE:20260310"], []],
    ["an event of several days", ["DTSTART:20260308T150000", "DTEND:20260310T120000"], ["00:00-12:00"]],
    ["a night that ends on the day", ["DTSTART:20260309T220000", "DTEND:20260310T060000"], ["00:00-06:00"]],
    ["a night that begins on the day", ["DTSTART:20260310T220000", "DTEND:20260311T060000"], ["22:00-24:00"]],
    ["seconds count as whole minutes", ["DTSTART:20260310T100030", "DTEND:20260310T100130"], ["10:00-10:02"]],
  ])("%s", async (_, lines, busy) => {
    expect(await busyOn(TUESDAY, event(...lines))).toEqual(busy);
  });

  test("to-dos, journals and alarms do not", async () => {
    const lines = ["DTSTART:20260310T100000", "DURATION:PT1H"];
    expect(
      await busyOn(TUESDAY, ["BEGIN:VTODO", ...lines, "END:VTODO"], ["BEGIN:VJOURNAL", ...lines, "END:VJOURNAL"]),
    ).toEqual([]);
  });

  test("events that touch or overlap are one busy time", async () => {
    const at = (start: string, end: string) => event(`DTSTART:20260310T${start}`, `DTEND:20260310T${end}`);
    expect(await busyOn(TUESDAY, at("120000", "130000"), at("100000", "110000"), at("103000", "120000"))).toEqual([
      "10:00-13:00",
    ]);
  });
});

describe("time zones", () => {
  /** Two hours ahead of UTC, three in summer by the rules of the EU; no such name is known anywhere else. */
  const officeZone = [
    "BEGIN:VTIMEZONE",
    "TZID:Office",
    ...["BEGIN:STANDARD", "DTSTART:19961027T040000", "TZOFFSETFROM:+0300", "TZOFFSETTO:+0200"],
    ...["RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU", "END:STANDARD"],
    ...["BEGIN:DAYLIGHT", "DTSTART:19970330T030000", "TZOFFSETFROM:+0200", "TZOFFSETTO:+0300"],
    ...["RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU", "END:DAYLIGHT"],
    "END:VTIMEZONE",
  ];

  test.each<[string, string, string, string[]]>([
    ["UTC", "DTSTART:20260310T090000Z", TUESDAY, ["10:00-11:00"]],
    ["no zone, which is the user's", "DTSTART:20260310T090000", TUESDAY, ["09:00-10:00"]],
    [
      "an IANA name that the file does not define",
      "DTSTART;TZID=America/New_York:20260310T090000",
      TUESDAY,
      ["14:00-15:00"],
    ],
    ["the same in other letters", "DTSTART;TZID=america/new_york:20260310T090000", TUESDAY, ["14:00-15:00"]],
    ["a zone of the file in winter", "DTSTART;TZID=Office:20260310T090000", TUESDAY, ["08:00-09:00"]],
    ["a zone of the file in summer", "DTSTART;TZID=Office:20260610T090000", "2026-06-10", ["08:00-09:00"]],
    [
      "a zone of the file where only it has changed",
      "DTSTART;TZID=Office:20260329T033000",
      "2026-03-29",
      ["03:30-04:30"],
    ],
  ])("%s", async (_, start, day, busy) => {
    expect(await busyOn(day, officeZone, event(start, "DURATION:PT1H"))).toEqual(busy);
  });

  test("a zone of the file wins over the IANA zone of that name", async () => {
    const zone = officeZone.map((line) => line.replace("Office", "Asia/Tokyo"));
    expect(await busyOn(TUESDAY, zone, event("DTSTART;TZID=Asia/Tokyo:20260310T090000", "DURATION:PT1H"))).toEqual([
      "08:00-09:00",
    ]);
  });

  test("a zone of the file that cannot be read is looked up by its name", async () => {
    const zone = ["BEGIN:VTIMEZONE", "TZID:Asia/Tokyo", "BEGIN:STANDARD", "END:STANDARD", "END:VTIMEZONE"];
    expect(await busyOn(TUESDAY, zone, event("DTSTART;TZID=Asia/Tokyo:20260310T090000", "DURATION:PT1H"))).toEqual([
      "01:00-02:00",
    ]);
  });

  test("an event in an unknown zone is an error that names it", async () => {
    const text = await failure(() => load(event("SUMMARY:Board", "DTSTART;TZID=Mars/Base:20260310T090000")));
    expect(text).toMatch(/The event "Board" .* is in the time zone "Mars\/Base", which is not known/);
  });

  test("a flight ends on the clocks of where it lands", async () => {
    const flight = event("DTSTART;TZID=Europe/Oslo:20260310T100000", "DTEND;TZID=America/New_York:20260310T120000");
    expect(await busyOn(TUESDAY, flight)).toEqual(["10:00-17:00"]);
  });

  test("working hours stay the local hours when clocks change", async () => {
    const calendar = await load(
      event("DTSTART:20260327T080000Z", "DURATION:PT1H"),
      event("DTSTART:20260329T080000Z", "DURATION:PT1H"),
    );
    const everyDay: WorkingHours = { start: "09:00", end: "17:00", days: ["Friday", "Sunday"] };
    const days = calendar.availability(["2026-03-27", "2026-03-29"], {
      timeZone: "Europe/Oslo",
      workingHours: everyDay,
    });
    expect(renderAvailability(days)).toBe(
      "2026-03-27 (Friday): free 10:00-17:00\n2026-03-29 (Sunday): free 09:00-10:00, 11:00-17:00",
    );
  });

  test("a series keeps its own local hour when clocks change", async () => {
    const daily = event("DTSTART;TZID=Europe/Oslo:20260327T100000", "DURATION:PT1H", "RRULE:FREQ=DAILY");
    for (const day of ["2026-03-28", "2026-03-29", "2026-03-30"])
      expect(await busyOn(day, daily)).toEqual(["10:00-11:00"]);
  });

  test("a night in which clocks go back covers the hour that happens twice", async () => {
    const early = event("DTSTART:20261025T003000Z", "DTEND:20261025T013000Z");
    expect(await busyOn("2026-10-25", early)).toEqual(["02:00-03:00"]);
    expect(await busyOn("2026-10-25", event("DTSTART;VALUE=DATE:20261025"))).toEqual(["00:00-24:00"]);
  });

  test("a time that clocks skip is the one after the change", async () => {
    expect(await busyOn("2026-03-29", event("DTSTART:20260329T023000", "DURATION:PT1H"))).toEqual(["03:30-04:30"]);
  });

  test("a length in days is by the calendar, an end in hours by the clock", async () => {
    expect(await busyOn("2026-03-29", event("DTSTART:20260328T120000", "DURATION:P1D"))).toEqual(["00:00-12:00"]);
    expect(await busyOn("2026-03-29", event("DTSTART:20260328T120000", "DURATION:PT24H"))).toEqual(["00:00-13:00"]);
  });
});

describe("events that repeat", () => {
  const repeating = (rule: string, start: string) => event(`DTSTART:${start}`, "DURATION:PT1H", `RRULE:${rule}`);

  // Most are the examples of RFC 5545 §3.8.5.3.
  test.each<[string, string, string[], string[]]>([
    ["FREQ=DAILY;INTERVAL=10;COUNT=5", "19970902T090000", ["1997-09-02", "1997-10-12"], ["1997-09-11", "1997-10-22"]],
    ["FREQ=DAILY;UNTIL=19971224T000000Z", "19970902T090000", ["1997-12-23"], ["1997-12-24"]],
    ["FREQ=DAILY;UNTIL=19971224", "19970902T090000", ["1997-12-24"], ["1997-12-25"]],
    ["FREQ=WEEKLY;COUNT=10", "19970902T090000", ["1997-11-04"], ["1997-11-05", "1997-11-11"]],
    [
      "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO",
      "19970805T090000",
      ["1997-08-10", "1997-08-24"],
      ["1997-08-17"],
    ],
    [
      "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU",
      "19970805T090000",
      ["1997-08-17", "1997-08-31"],
      ["1997-08-10"],
    ],
    ["FREQ=MONTHLY;COUNT=10;BYDAY=1FR", "19970905T090000", ["1997-10-03", "1998-06-05"], ["1997-10-10", "1998-07-03"]],
    ["FREQ=MONTHLY;BYMONTHDAY=-3", "19970928T090000", ["1997-10-29", "1998-02-26"], ["1997-10-28", "1998-02-25"]],
    ["FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "19980213T090000", ["1998-11-13", "2026-03-13"], ["1998-12-11"]],
    ["FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "19970929T090000", ["1997-10-30", "1997-11-27"], ["1997-10-31"]],
    ["FREQ=MONTHLY", "20260131T090000", ["2026-03-31"], ["2026-02-28", "2026-03-03"]],
    ["FREQ=YEARLY", "20240229T090000", ["2028-02-29"], ["2026-02-28", "2026-03-01"]],
    ["FREQ=YEARLY;BYDAY=20MO", "19970519T090000", ["1998-05-18"], ["1998-05-11"]],
    ["FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "19970512T090000", ["1998-05-11", "1999-05-17"], ["1998-05-18"]],
    ["FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200", "19970101T090000", ["2000-04-09"], ["1998-01-01"]],
    [
      "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
      "19961105T090000",
      ["2004-11-02"],
      ["2004-11-09"],
    ],
  ])("%s from %s", async (rule, start, busy, free) => {
    expect(await busyDays([...busy, ...free], repeating(rule, start))).toEqual(busy);
  });

  test("a date or time that is left out is free, one that is added is busy", async () => {
    const series = event(
      ...["DTSTART;TZID=Europe/Oslo:20260309T100000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=5"],
      ...["EXDATE:20260310T090000Z", "EXDATE;VALUE=DATE:20260311", "RDATE;TZID=Europe/Oslo:20260320T150000"],
      "RDATE;VALUE=PERIOD:20260321T090000Z/20260321T093000Z,20260322T090000Z/PT2H",
    );
    const days = ["2026-03-09", "2026-03-10", "2026-03-11", "2026-03-12", "2026-03-14"];
    expect(await busyDays(days, series)).toEqual(["2026-03-09", "2026-03-12"]);
    expect(await busyOn("2026-03-20", series)).toEqual(["15:00-16:00"]);
    expect(await busyOn("2026-03-21", series)).toEqual(["10:00-10:30"]);
    expect(await busyOn("2026-03-22", series)).toEqual(["10:00-12:00"]);
  });

  describe("and one time of them is changed", () => {
    const series = event(
      "UID:standup",
      "DTSTART;TZID=Europe/Oslo:20260309T100000",
      "DURATION:PT1H",
      "RRULE:FREQ=DAILY",
    );
    const change = (...lines: string[]) => event("UID:standup", "RECURRENCE-ID:20260310T090000Z", ...lines);

    test("moved: the old time is free, the new one busy", async () => {
      const moved = change("DTSTART;TZID=Europe/Oslo:20260311T140000", "DURATION:PT2H");
      expect(await busyOn(TUESDAY, series, moved)).toEqual([]);
      expect(await busyOn("2026-03-11", moved, series)).toEqual(["10:00-11:00", "14:00-16:00"]);
    });

    test("cancelled: it is free", async () => {
      const cancelled = change("STATUS:CANCELLED", "DTSTART:20260310T090000Z", "DURATION:PT1H");
      expect(await busyOn(TUESDAY, series, cancelled)).toEqual([]);
    });

    test("of another event: nothing changes", async () => {
      const other = change("DTSTART:20260312T090000Z").map((line) => line.replace("UID:standup", "UID:other"));
      expect(await busyOn(TUESDAY, series, other)).toEqual(["10:00-11:00"]);
    });

    test("with all later ones (RANGE): an error, since it is not read", async () => {
      const range = event(
        "UID:standup",
        "SUMMARY:Standup",
        "RECURRENCE-ID;RANGE=THISANDFUTURE:20260310T090000Z",
        "DTSTART:20260310T100000Z",
      );
      expect(await failure(() => load(series, range))).toMatch(/The event "Standup" .* \(RANGE\), which is not read/);
    });
  });

  test("all-day series are left out and moved by date", async () => {
    const series = event(
      "UID:away",
      "DTSTART;VALUE=DATE:20260309",
      "RRULE:FREQ=DAILY;COUNT=4",
      "EXDATE;VALUE=DATE:20260310",
    );
    const moved = event("UID:away", "RECURRENCE-ID;VALUE=DATE:20260311", "DTSTART;VALUE=DATE:20260320");
    const days = ["2026-03-09", "2026-03-10", "2026-03-11", "2026-03-12", "2026-03-13", "2026-03-20"];
    expect(await busyDays(days, series, moved)).toEqual(["2026-03-09", "2026-03-12", "2026-03-20"]);
  });

  test.each(["SECONDLY", "MINUTELY", "HOURLY"])("%s is an error that names the event", async (frequency) => {
    const odd = event("SUMMARY:Ping", "DTSTART:20260310T100000", `RRULE:FREQ=${frequency}`);
    expect(await failure(() => load(odd))).toMatch(new RegExp(`The event "Ping" .* repeats ${frequency}`));
  });
});

describe("what cannot be understood is an error, never free time", () => {
  test.each<[string, string[], RegExp]>([
    ["no start", ["DURATION:PT1H"], /has no start/],
    ["a day that does not exist", ["DTSTART:20260230T100000"], /a date or time that cannot be read/],
    ["a broken length", ["DTSTART:20260310T100000", "DURATION:1 hour"], /a length that cannot be read/],
    ["a negative length", ["DTSTART:20260310T100000", "DURATION:-PT1H"], /a length that cannot be read/],
    [
      "a calendar other than ours",
      ["DTSTART:20260310", "RRULE:RSCALE=CHINESE;FREQ=YEARLY"],
      /a repetition that cannot be read/,
    ],
    [
      "an end that is no date",
      ["DTSTART:20260310", "RRULE:FREQ=DAILY;UNTIL=soon"],
      /a repetition whose end cannot be read/,
    ],
  ])("%s", async (_, lines, problem) => {
    expect(await failure(() => load(event("SUMMARY:Odd", ...lines)))).toMatch(problem);
  });

  test("an end before the start", async () => {
    const calendar = await load(event("SUMMARY:Odd", "DTSTART:20260310T100000", "DTEND:20250310T110000"));
    expect(await failure(async () => calendar.availability([TUESDAY], OSLO))).toMatch(/"Odd" .* ends before it starts/);
  });

  test("the name of the event is one short line", async () => {
    const odd = event(`SUMMARY:Lunch\\n\u0007\u202E${"x".repeat(100)}`, "DTSTART:x");
    expect(await failure(() => load(odd))).toContain(`"Lunch ${"x".repeat(54)}"`);
  });

  test.each<[string, string]>([
    ["not a calendar", "Dear Sir or Madam,"],
    ["cut off", "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nDTSTART:2026"],
    ["an event without a calendar", "BEGIN:VEVENT\r\nDTSTART:20260310\r\nEND:VEVENT"],
    ["a broken rule", calendarText(event("DTSTART:20260310", "RRULE:FREQ=FORTNIGHTLY"))],
    ["a time with an offset", calendarText(event("DTSTART:20260310T100000+0100"))],
    ["a line of countless parts", calendarText(event(`DTSTART${";A=1".repeat(100_000)}:20260310`))],
  ])("a file that is %s", async (_, text) => {
    const path = await fileOf(text);
    expect(await failure(() => loadCalendar(path))).toMatch(`The calendar ${path} is not a complete iCalendar file`);
  });

  test("a file that changed is read again", async () => {
    const path = await fileOf(calendarText(event("DTSTART:20260310T100000Z", "DTEND:20260310T110000Z")));
    const busy = async () => (await loadCalendar(path)).availability([TUESDAY], OSLO)[0]?.busy;
    expect(await busy()).toEqual([{ start: "11:00", end: "12:00" }]);
    expect(await busy()).toEqual([{ start: "11:00", end: "12:00" }]);
    await writeFile(path, calendarText(event("DTSTART:20260310T120000Z", "DTEND:20260310T130000Z")));
    expect(await busy()).toEqual([{ start: "13:00", end: "14:00" }]);
  });

  test("a file that is missing, empty, too large or a folder: the line names it and says what to do", async () => {
    const missing = join(folder, "no.ics");
    expect(await failure(() => loadCalendar(missing))).toBe(
      `The calendar ${missing} does not exist. (check the path, or export the calendar to it)`,
    );
    const empty = await fileOf(" \r\n");
    expect(await failure(() => loadCalendar(empty))).toContain(`${empty} is empty. (export`);
    const large = await fileOf("");
    await truncate(large, 20 * 1024 * 1024 + 1);
    expect(await failure(() => loadCalendar(large))).toContain(`${large} is larger than 20 MB. (export`);
    expect(await failure(() => loadCalendar(folder))).toContain(`${folder} is not a file. (name`);
  });

  test("a broken line in a description is nobody's concern", async () => {
    const lines = ["DESCRIPTION:first", "second line without a fold", "DTSTART:20260310T100000", "DURATION:PT1H"];
    expect(await busyOn(TUESDAY, event(...lines))).toEqual(["10:00-11:00"]);
  });
});

describe("days and zones that a model made up are refused", () => {
  const ask = async (days: string[], timeZone = "Europe/Oslo") => {
    const calendar = await load();
    return failure(async () => calendar.availability(days, { ...OSLO, timeZone }));
  };

  test.each(["2026-02-30", "2026-13-01", "10.03.2026", "tomorrow", "", "2026-03-10T09:00:00", "2026-03-10T::"])(
    "%j",
    async (day) => {
      expect(await ask([TUESDAY, day])).toContain(
        `No such day: ${JSON.stringify(day)}; expected a real date as YYYY-MM-DD`,
      );
    },
  );

  test("what was seen is cut and cleaned", async () => {
    expect(await ask([`\u0007${"9".repeat(1000)}`])).toContain(`No such day: "${"9".repeat(40)}";`);
  });

  test("no day, or more than 14", async () => {
    const days = Array.from({ length: 15 }, (_, index) => `2026-03-${index + 10}`);
    expect(await ask(days)).toMatch(/15 days were asked for; expected 1 to 14/);
    expect(await ask([])).toMatch(/0 days were asked for/);
  });

  test("a zone that does not exist", async () => {
    expect(await ask([TUESDAY], "Mars/Base")).toContain('Unknown time zone "Mars/Base"');
  });
});

describe("size and time are bounded", () => {
  const numbered = (count: number, lines: (index: number) => string[]) =>
    Array.from({ length: count }, (_, index) => event(`UID:${index}`, ...lines(index)));
  const WEEK = ["2026-03-09", TUESDAY, "2026-03-11", "2026-03-12", "2026-03-13", "2026-03-14", "2026-03-15"];

  test("5,000 series since 1900, some with a COUNT, are worked out exactly and fast", async () => {
    const count = 50_000;
    const daily = (index: number) => [
      "DTSTART:19000101T100000",
      "DURATION:PT1H",
      `RRULE:FREQ=DAILY${index % 2 ? `;COUNT=${count}` : ""}`,
    ];
    const calendar = await load(...numbered(5_000, daily));
    const before = performance.now();
    const found = calendar.availability(WEEK, OSLO);
    // About 0.2 s on an idle machine.
    expect(performance.now() - before).toBeLessThan(3_000);
    expect(found.every(({ busy }) => busy.length === 1)).toBe(true);
  });

  test("a COUNT ends a series on the day it says", async () => {
    const days = Math.round((Date.UTC(2026, 2, 10) - Date.UTC(1900, 0, 1)) / 86_400_000) + 1;
    const daily = event("DTSTART:19000101T100000", "DURATION:PT1H", `RRULE:FREQ=DAILY;COUNT=${days}`);
    expect(await busyDays(WEEK, daily)).toEqual(["2026-03-09", TUESDAY]);
  });

  test.each<[string, string]>([
    ["a rule that no day fulfils", "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30"],
    ["a yearly one", "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=31"],
    ["a huge interval", "FREQ=MONTHLY;INTERVAL=999999999999"],
    ["a huge interval and count", "FREQ=DAILY;INTERVAL=999999999;COUNT=999999999"],
  ])("%s ends", async (_, rule) => {
    expect(await busyOn(TUESDAY, event("DTSTART:19000101T100000", "DURATION:PT1H", `RRULE:${rule}`))).toEqual([]);
  });

  test("a file that asks for too much work is an error", async () => {
    const rule = "RRULE:FREQ=DAILY;BYMONTH=1,3;COUNT=40000";
    const calendar = await load(...numbered(100, () => ["DTSTART:19000101T000000", "DURATION:PT1H", rule]));
    expect(await failure(async () => calendar.availability(WEEK, OSLO))).toMatch(/take too long to work out/);
  });
});

test("free and busy never overlap, and no minute of an event is free", async () => {
  const from = Date.UTC(2026, 9, 22);
  // Three days around the end of summer time in Oslo and four of ordinary time, on a grid of five minutes.
  const events = fc.array(
    fc.record({ start: fc.nat({ max: 7 * 288 }), length: fc.nat({ max: 400 }), zoned: fc.boolean() }),
    { maxLength: 6 },
  );
  const hours = fc.record({
    start: fc.constantFrom("00:00", "02:15", "09:00"),
    end: fc.constantFrom("03:30", "17:00", "24:00"),
  });
  const zones = fc.constantFrom("Europe/Oslo", "America/New_York", "Asia/Kathmandu");
  const days = Array.from({ length: 7 }, (_, index) => new Date(from + index * 86_400_000).toISOString().slice(0, 10));
  const stamp = (instant: number) => new Date(instant).toISOString().replace(/[-:]|\.000/g, "");
  await fc.assert(
    fc.asyncProperty(events, hours, zones, async (planned, { start, end }, timeZone) => {
      fc.pre(start < end);
      const spans = planned.map((each) => ({
        from: from + each.start * 300_000,
        to: from + (each.start + each.length) * 300_000,
      }));
      const calendar = await load(
        ...spans.map((span) => event(`DTSTART:${stamp(span.from)}`, `DTEND:${stamp(span.to)}`)),
      );
      const everyDay = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"] as const;
      const found = calendar.availability(days, { timeZone, workingHours: { start, end, days: [...everyDay] } });
      for (const { free, busy } of found) {
        const sorted = [...free, ...busy].sort((a, b) => a.start.localeCompare(b.start));
        expect(sorted.every((each, index) => each.end <= (sorted[index + 1]?.start ?? "24:00"))).toBe(true);
      }
      const clock = new Intl.DateTimeFormat("sv-SE", { dateStyle: "short", timeStyle: "short", timeZone });
      const freeOf = new Map(found.map(({ day, free }) => [day, free]));
      for (const span of spans) {
        for (let instant = span.from; instant < span.to; instant += 300_000) {
          const [day = "", time = ""] = clock.format(instant).split(" ");
          expect(freeOf.get(day)?.find((gap) => gap.start <= time && time < gap.end)).toBeUndefined();
        }
      }
    }),
    { numRuns: 40 },
  );
});

describe("what a profile says of the user's time", () => {
  test("working hours have a start before their end, and days", () => {
    expect(workingHoursSchema.parse(DEFAULT_WORKING_HOURS)).toEqual(DEFAULT_WORKING_HOURS);
    for (const wrong of [
      { start: "17:00", end: "09:00" },
      { start: "9:00" },
      { end: "24:30" },
      { days: [] },
      { days: ["Caturday"] },
    ]) {
      expect(workingHoursSchema.safeParse({ ...DEFAULT_WORKING_HOURS, ...wrong }).success).toBe(false);
    }
  });

  test("a time zone has an IANA name", () => {
    expect(
      ["Europe/Oslo", "UTC", "America/Argentina/Buenos_Aires"].filter(
        (name) => !timeZoneSchema.safeParse(name).success,
      ),
    ).toEqual([]);
    expect(
      ["Mars/Base", "+01:00", "", "W. Europe Standard Time"].filter((name) => timeZoneSchema.safeParse(name).success),
    ).toEqual([]);
  });
});
