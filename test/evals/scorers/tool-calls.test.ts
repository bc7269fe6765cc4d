import { describe, expect, test } from "vitest";
import { type ArgumentCheck, expectedToolsSchema } from "../../../src/evals/cases.ts";
import { fulfils, isSame } from "../../../src/evals/scorers/arguments.ts";
import { checkToolCalls, type ToolCall } from "../../../src/evals/scorers/tool-calls.ts";

const call = (name: string, args: Record<string, unknown> = {}): ToolCall => ({ name, args });
const failures = (expected: unknown, called: ToolCall[]) =>
  checkToolCalls(expectedToolsSchema.parse(expected), called)
    .filter(({ met }) => met !== true)
    .map(({ name, note }) => `${name}: ${note}`);

describe("an argument", () => {
  test.each<[ArgumentCheck, unknown, boolean]>([
    ["Release plan", "release  plan", true],
    ["Release plan", "Release plans", false],
    ["ada@home.example", "Ada <ADA@home.example>", true],
    ["ada@home.example", "Write to ada@home.example", false],
    [30, 30, true],
    [30, "30", false],
    [true, false, false],
    [["ada@home.example", "tom@work.example"], ["Tom <tom@work.example>", "ada@home.example"], true],
    [["ada@home.example"], ["ada@home.example", "tom@work.example"], false],
    [["2026-03-02", "2026-03-03"], ["2026-03-03", "2026-03-02"], false],
    [{ contains: ["Thursday", "ten"] }, "On thursday at\nten it is", true],
    [{ contains: ["Thursday", "ten"] }, "On Thursday at nine", false],
    [{ contains: "2026-03-03" }, ["2026-03-02", "2026-03-03"], true],
    [{ matches: "^2026-03-0[45]T" }, "2026-03-05t10:00", true],
    [{ matches: "^2026-03-0[45]T" }, "2026-03-06T10:00", false],
    [{ one_of: [30, 60] }, 60, true],
    [{ one_of: [30, 60] }, 45, false],
    [{ at_least: 30, at_most: 60 }, 60, true],
    [{ at_least: 30, at_most: 60 }, 61, false],
    [{ at_least: 30 }, "45", false],
    [{ equals: { a: [1, null] } }, { a: [1, null] }, true],
    [{ equals: { a: 1 } }, { a: 1, b: 2 }, false],
    [{ equals: null }, null, true],
    [{ equals: null }, undefined, false],
  ])("that is to be %j, and is %j: %s", (check, found, met) => {
    expect(fulfils(check, found)).toBe(met);
  });

  test("with curly quotes and hyphens says the same as with plain ones", () => {
    expect(isSame("Tom’s “e‑mail”", 'tom\'s "e-mail"')).toBe(true);
  });
});

describe("the calls", () => {
  const meeting = { name: "schedule_meeting", args: { duration_minutes: 30, start: { matches: "T10:00$" } } };
  const good = call("schedule_meeting", { duration_minutes: 30, start: "2026-03-05T10:00", title: "Any" });

  test("that are as expected meet one check each, one for each argument, and that there is no other", () => {
    const checks = checkToolCalls(expectedToolsSchema.parse({ calls: [meeting] }), [good]);
    expect(checks).toEqual([
      { kind: "tools", name: "calls schedule_meeting", met: true },
      { kind: "tools", name: "schedule_meeting: duration_minutes is 30", met: true },
      { kind: "tools", name: "schedule_meeting: start matches /T10:00$/", met: true },
      { kind: "tools", name: "calls no other tool", met: true },
    ]);
  });

  test("that are missing are named, with what was called instead", () => {
    expect(failures({ calls: [meeting] }, [])).toEqual(["calls schedule_meeting: nothing is called"]);
    expect(failures({ calls: [meeting], may: ["search_memory"] }, [call("search_memory")])).toEqual([
      "calls schedule_meeting: what is called: search_memory",
    ]);
  });

  test("with wrong or missing arguments say which, and what they are", () => {
    expect(failures({ calls: [meeting] }, [call("schedule_meeting", { duration_minutes: 60 })])).toEqual([
      "schedule_meeting: duration_minutes is 30: it is 60",
      "schedule_meeting: start matches /T10:00$/: it is not given",
    ]);
  });

  test("beyond those expected are named one by one, also a second one of the same name; `may` allows them", () => {
    const calls = [call("write_email", { to: "x" }), good, call("write_email", { to: "y" })];
    expect(failures({ calls: [meeting] }, calls)).toEqual([
      'calls no other tool: write_email is called with {"to":"x"}',
      'calls no other tool: write_email is called with {"to":"y"}',
    ]);
    expect(failures({ calls: [meeting], may: ["write_email"] }, calls)).toEqual([]);
    expect(failures({ calls: [meeting, { name: "write_email" }] }, calls)).toHaveLength(1);
    expect(failures({ calls: [] }, [good])).toHaveLength(1);
    expect(failures({ calls: [] }, [])).toEqual([]);
  });

  test("of one name are assigned so that most arguments are right", () => {
    const days = (day: string) => ({ name: "check", args: { day, kind: "all" } });
    const called = [
      call("check", { day: "b", kind: "all" }),
      call("check", { day: "x", kind: "none" }),
      call("check", { day: "a", kind: "all" }),
    ];
    expect(failures({ calls: [days("a"), days("b")] }, called)).toEqual([
      'calls no other tool: check is called with {"day":"x","kind":"none"}',
    ]);
  });

  test("in another order than expected fail where order counts, and only there", () => {
    const calls = [{ name: "check" }, { name: "write" }];
    const called = [call("write"), call("check")];
    expect(failures({ calls }, called)).toEqual([]);
    expect(failures({ calls, in_order: true }, called)).toEqual([
      "calls in the order check, write: the order is write, check",
    ]);
    expect(failures({ calls, in_order: true }, called.toReversed())).toEqual([]);
    expect(failures({ calls: [{ name: "write" }], in_order: true }, [call("write")])).toEqual([]);
  });

  test("of one name that are equally good are taken in the order that is right", () => {
    const calls = [{ name: "check" }, { name: "write" }];
    expect(failures({ calls, in_order: true, may: ["write"] }, [call("write"), call("check"), call("write")])).toEqual(
      [],
    );
    const twice = [
      { name: "check", args: { day: "a" } },
      { name: "check", args: { day: "b" } },
    ];
    const [a, b] = [call("check", { day: "a" }), call("check", { day: "b" })];
    // Arguments come before order.
    expect(failures({ calls: twice, in_order: true }, [b, a])).toEqual([
      "calls in the order check, check: the order is check, check",
    ]);
    expect(failures({ calls: twice, in_order: true }, [a, b])).toEqual([]);
    const same = [{ name: "check" }, { name: "check" }, { name: "write" }];
    expect(failures({ calls: same, in_order: true }, [a, b])).toEqual(["calls write: what is called: check, check"]);
  });

  test("show no more of a long or hostile argument than a line", () => {
    const [failure = ""] = failures({ calls: [] }, [call("write", { body: `a\n\u202e${"b".repeat(999)}` })]);
    expect(failure.length).toBeLessThan(300);
    expect(failure).not.toMatch(/\n|\u202e/);
  });
});
