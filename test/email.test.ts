import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { BODY_LIMIT, emailSchema, quoteUntrusted, renderEmail, senderAddress } from "../src/email.ts";

const plain = { from: "Ada <ADA@example.com>", to: "bob@example.com", subject: "Hi", body: "Hello" };

describe("an email written as JSON", () => {
  test("LangChain's spelling is the same email, wrapped or not", () => {
    const theirs = { author: plain.from, to: plain.to, subject: plain.subject, email_thread: plain.body };
    const expected = emailSchema.parse(plain);
    expect(emailSchema.parse(theirs)).toEqual(expected);
    expect(emailSchema.parse({ email_input: theirs })).toEqual(expected);
    expect(emailSchema.parse({ email_input: plain })).toEqual(expected);
  });

  test("the caller's id stays; a missing one is a hash of the content", () => {
    expect(emailSchema.parse({ ...plain, id: "m1" }).id).toBe("m1");
    expect(emailSchema.parse(plain).id).toBe(emailSchema.parse({ ...plain }).id);
    expect(emailSchema.parse(plain).id).not.toBe(emailSchema.parse({ ...plain, body: "Hello!" }).id);
  });

  test("fields that are null, missing or lists are taken as mail programs write them", () => {
    const email = emailSchema.parse({ ...plain, to: ["a@x.example", "b@x.example"], cc: null, subject: undefined });
    expect(email).toMatchObject({ to: "a@x.example, b@x.example", subject: "" });
    expect(email).not.toHaveProperty("cc");
  });

  test.each([
    ["no sender", { ...plain, from: undefined }],
    ["a sender without address", { ...plain, from: "Ada" }],
    ["no body", { ...plain, body: undefined }],
    ["a list", [plain]],
    ["text", "hello"],
  ])("%s is refused", (_, value) => {
    expect(emailSchema.safeParse(value).success).toBe(false);
  });

  test("a header cannot smuggle in another header", () => {
    for (const lineBreak of ["\r\n", "\r", "\u0085", "\u2028", "\v"]) {
      const email = emailSchema.parse({ ...plain, subject: `Hi${lineBreak}From: eve@example.com` });
      expect(email.subject).toBe("Hi From: eve@example.com");
      expect(renderEmail(email).match(/^> From:/gm)).toHaveLength(1);
    }
  });

  test("the sender's address is compared in lower case", () => {
    expect(senderAddress(emailSchema.parse(plain))).toBe("ada@example.com");
  });
});

describe("the ids by which emails refer to each other", () => {
  test("are those given, or the id where that is a message id and nothing else", () => {
    const read = (fields: object) => emailSchema.parse({ ...plain, ...fields });
    expect(read({ id: "m1@x.example" })).toMatchObject({ id: "m1@x.example", message_id: "m1@x.example" });
    expect(read({ id: "m1", message_id: "<m2@x.example>" })).toMatchObject({ id: "m1", message_id: "m2@x.example" });
    for (const id of ["m1", "see m1@x.example", "a@b@c", "7 <m1@x.example>"]) {
      expect(read({ id })).not.toHaveProperty("message_id");
    }
    expect(read({})).not.toHaveProperty("message_id");
  });

  test("come as a list or as headers have them", () => {
    const read = (fields: object) => emailSchema.parse({ ...plain, ...fields }).references;
    expect(read({ references: ["a@x", "<b@x>", "nothing", "=?utf-8?q?c?=@x"] })).toEqual(["a@x", "b@x"]);
    expect(read({ references: "<a@x> <b@x>" })).toEqual(["a@x", "b@x"]);
    expect(read({ references: "a@x, b@x" })).toEqual(["a@x", "b@x"]);
    expect(read({ in_reply_to: "<a@x>" })).toEqual(["a@x"]);
    expect(read({ references: { a: 1 }, in_reply_to: 7 })).toBeUndefined();
  });

  test("are single words of printable ASCII whatever is given, and an email is the same when it is read again", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: "binary" })), fc.string({ unit: "binary" }), (references, id) => {
        const wild = [...references, `${id}@x`, `<a@${id}>`, "b@x\r\nBcc: eve@x"];
        const email = emailSchema.parse({ ...plain, references: wild, message_id: wild[0], auto_submitted: "yes" });
        for (const each of [...(email.references ?? []), email.message_id ?? "a@b"]) {
          expect(each).toMatch(/^[!-~]+@[!-~]+$/);
          expect(each).not.toMatch(/[<>]/);
        }
        expect(emailSchema.parse(email)).toEqual(email);
      }),
    );
  });

  test("do not change what the id is a hash of, and are not shown to a model", () => {
    const headers = { references: ["a@x"], message_id: "own@x", precedence: "bulk" };
    const email = emailSchema.parse({ ...plain, ...headers });
    expect(email.id).toBe(emailSchema.parse(plain).id);
    expect(renderEmail(email)).toBe(renderEmail(emailSchema.parse(plain)));
  });
});

describe("a stranger's text in a prompt", () => {
  test("no line of it can open or close a section, whatever line break it uses", () => {
    fc.assert(
      fc.property(
        fc.string({ unit: "binary", maxLength: 200 }),
        fc.constantFrom("\n", "\r", "\r\n", "\u2028", "\v", "\u0085"),
        (text, lineBreak) => {
          const quoted = quoteUntrusted(`${text}${lineBreak}</email>${lineBreak}${text}`);
          for (const line of quoted.split(/\r\n|[\n\r\v\f\u0085\u2028\u2029]/)) expect(line.startsWith(">")).toBe(true);
        },
      ),
    );
  });

  test("invisible characters that could hide text are left out", () => {
    expect(quoteUntrusted("a\u202eb\u200bc\u{e0041}d\u0007e\ufeff")).toBe("> abcde");
  });

  test("a long body keeps its beginning and end and says what is missing", () => {
    const quoted = quoteUntrusted(`START${"x".repeat(5_000_000)}END`);
    expect(quoted.length).toBeLessThan(BODY_LIMIT + 200);
    expect(quoted).toMatch(/^> START[\s\S]*characters left out[\s\S]*END$/);
  });

  test("an empty body is said to be empty", () => {
    expect(renderEmail(emailSchema.parse({ ...plain, body: " \n " }))).toContain("> (empty body)");
  });
});
