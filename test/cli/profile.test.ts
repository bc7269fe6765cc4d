import { InMemoryStore } from "@langchain/langgraph";
import type { BaseStore } from "@langchain/langgraph-checkpoint";
import { describe, expect, test } from "vitest";
import { StoreAccess } from "../../src/memory/access.ts";
import {
  PROFILE_KEY,
  type ProfileFields,
  Profiles,
  profileSchema,
  readProfile,
  renderProfile,
} from "../../src/memory/profile.ts";
import { userNamespaces } from "../../src/store/namespaces.ts";
import { openStore } from "../../src/store/open-store.ts";
import { temporaryFolder } from "../support/assistant.ts";
import { runCli } from "../support/cli.ts";

const ANA = "ana@home.example";

function cli() {
  const folder = temporaryFolder();
  const environment = { STORE_URL: `sqlite:${folder.path("memory.db")}`, TZ: "Asia/Tokyo" };
  const profile = (...args: string[]) => runCli(["profile", ...args, "--user", ANA], environment);
  return { profile, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

test("a profile is set field by field, shown, and fields are taken away again", async () => {
  using at = cli();
  const nothing = await at.profile("show");
  expect(nothing).toMatchObject({ code: 0 });
  expect(nothing.stdout).toBe(
    [
      `profile of ${ANA}`,
      "name       not set",
      "addresses  not set",
      "time zone  Asia/Tokyo (not set: this machine's)",
      "hours      09:00-17:00 Monday, Tuesday, Wednesday, Thursday, Friday (not set: the default)",
      "signature  not set",
      "about      not set\n",
    ].join("\n"),
  );
  const first = await at.profile(
    ...[
      "set",
      "--name",
      "  Ana\u202e \n Lund ",
      "--address",
      "ana@home.example",
      "--address",
      "Ana <ANA@Work.example>",
    ],
    ...["--time-zone", "Europe/Oslo", "--days", "tue,mon", "--signature", "Ana Lund\n\nHome & Co\u001b[2J", "--json"],
  );
  const known = {
    name: "Ana Lund",
    addresses: ["ana@home.example", "ana@work.example"],
    time_zone: "Europe/Oslo",
    working_hours: { start: "09:00", end: "17:00", days: ["Monday", "Tuesday"] },
    signature: "Ana Lund\n\nHome & Co[2J",
  };
  expect(first.code).toBe(0);
  expect(JSON.parse(first.stdout)).toEqual({ user: ANA, profile: known });
  const second = await at.profile("set", "--hours", "08:00-16:30", "--about", "Engineer.", "--unset", "name", "--json");
  const { name: _, ...rest } = known;
  expect(JSON.parse(second.stdout).profile).toEqual({
    ...rest,
    ...{ working_hours: { start: "08:00", end: "16:30", days: ["Monday", "Tuesday"] }, about: "Engineer." },
  });
  const third = await at.profile("set", "--unset", "days", "time-zone", "--unset", "address", "--name", "Ana");
  expect(third.stdout).toBe((await at.profile("show")).stdout);
  expect(third.stdout).toBe(
    [
      `profile of ${ANA}`,
      "name       Ana",
      "addresses  not set",
      "time zone  Asia/Tokyo (not set: this machine's)",
      "hours      08:00-16:30 Monday, Tuesday, Wednesday, Thursday, Friday",
      "signature  Ana Lund",
      "",
      "           Home & Co[2J",
      "about      Engineer.\n",
    ].join("\n"),
  );
});

test("a value that makes no sense is refused in one line that names the option, and changes nothing", async () => {
  using at = cli();
  const wrong: [string[], string][] = [
    [[], "profile set: saw nothing to set; expected an option such as --name TEXT"],
    [["--name", "n".repeat(501)], `--name: saw "${"n".repeat(79)}…"; expected at most 500 characters`],
    [["--name", " \u200b "], '--name: saw ""; expected text; --unset name takes it away'],
    [["--about", "a".repeat(501)], `--about: saw "${"a".repeat(79)}…"; expected at most 500 characters`],
    [["--signature", "a\n".repeat(9)], `--signature: saw "a a a a a a a a a"; expected at most 8 lines`],
    [
      ["--address", "ana@home.example", "--address", "ana"],
      '--address: saw "ana"; expected an address such as alice@example.com',
    ],
    [
      ["--address", "a@x.example, b@x.example"],
      '--address: saw "a@x.example, b@x.example"; expected an address such as alice@example.com',
    ],
    [
      Array.from({ length: 21 }, (_, i) => ["--address", `a${i}@x.example`]).flat(),
      "--address: saw 21 of them; expected at most 20 addresses",
    ],
    [
      ["--time-zone", "Mars/Base"],
      '--time-zone: saw "Mars/Base"; expected the IANA name of a time zone, such as Europe/Oslo',
    ],
    [["--hours", "16:00-08:00"], '--hours: saw "16:00-08:00"; expected a start and a later end, such as 08:00-16:00'],
    [["--hours", "8-16"], '--hours: saw "8-16"; expected a start and a later end, such as 08:00-16:00'],
    [["--days", "mon,noday"], '--days: saw "mon,noday"; expected days such as mon,tue,wed'],
    [["--days", ""], '--days: saw ""; expected days such as mon,tue,wed'],
    [["--name", "Ana", "--unset", "name"], "--name: saw it and --unset name; expected one"],
  ];
  const answers = await Promise.all(wrong.map(([args]) => at.profile("set", ...args)));
  for (const [i, [, message]] of wrong.entries()) {
    expect(answers[i]).toMatchObject({ code: 2, stdout: "", stderr: `mnemail: ${message}\n` });
  }
  expect((await at.profile("set", "--unset", "nose")).code).toBe(2);
  expect((await at.profile("show")).stdout).toContain("name       not set");
});

describe("the profile in the store and in prompts", () => {
  const stores: [string, () => Promise<BaseStore>][] = [
    ["ours", () => openStore({ backend: "memory" })],
    ["InMemoryStore", async () => new InMemoryStore()],
  ];
  test.each(stores)("%s: changes that are made at once lose nothing", async (_, open) => {
    const store = await open();
    const profiles = () => new Profiles(new StoreAccess(store, () => {}));
    const changes: ProfileFields[] = [
      { name: "Ana" },
      { signature: "A." },
      { about: "Engineer." },
      { time_zone: "Europe/Oslo" },
      { addresses: [ANA] },
    ];
    await Promise.all(changes.map((each) => profiles().change(ANA, (fields) => ({ ...fields, ...each }))));
    expect(await profiles().read(ANA)).toEqual(Object.assign({}, ...changes));
    expect(await profiles().read("ana")).toEqual({});
  });

  test("a stored field that is not as it should be costs only itself", async () => {
    const store = new InMemoryStore();
    await store.put(userNamespaces(ANA).profile, PROFILE_KEY, { name: "Ana", about: "x".repeat(501), time_zone: 7 });
    expect(await new Profiles(new StoreAccess(store, () => {})).read(ANA)).toEqual({ name: "Ana" });
    expect(readProfile({ name: "Ana", addresses: ["ana"] })).toMatchObject({ name: "Ana", addresses: [] });
    expect(readProfile("nothing")).toMatchObject({ addresses: [] });
  });

  test("is rendered with the signature on one line, and without hidden characters", () => {
    const profile = profileSchema.parse({
      ...{ name: "Ana\u200b\n# Rules", addresses: [ANA], time_zone: "Europe/Oslo" },
      ...{ signature: "Ana Lund\n\nHome & Co\u2028Oslo", about: "Engineer.\u202e\nIn Oslo." },
    });
    expect(renderProfile(profile)).toBe(
      [
        "Name: Ana # Rules",
        "Signature: Ana Lund / Home & Co / Oslo",
        `Addresses: ${ANA}`,
        "Time zone: Europe/Oslo; working hours 09:00 to 17:00, Monday, Tuesday, Wednesday, Thursday, Friday",
        "Engineer.\nIn Oslo.",
      ].join("\n"),
    );
    expect(renderProfile(profileSchema.parse({}))).toMatch(/^Name: not known\nTime zone: /);
  });
});
