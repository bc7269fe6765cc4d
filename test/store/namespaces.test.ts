import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeUserId, encodeUserId, userNamespaces } from "../../src/store/namespaces.ts";

describe("a user id as a namespace label", () => {
  test("an email address is a valid id", () => {
    expect(encodeUserId("alice@example.com")).toBe("alice@example=2Ecom");
  });

  test("ids written by Python stay as they are", () => {
    expect(encodeUserId("user_123")).toBe("user_123");
    expect(encodeUserId("5f0c8a3e-2d41")).toBe("5f0c8a3e-2d41");
  });

  test.each(["langgraph", "email_assistant"])("the reserved root %s is a valid id and another label", (id) => {
    expect(encodeUserId(id)).not.toBe(id);
    expect(decodeUserId(encodeUserId(id))).toBe(id);
  });

  test("every id comes back, is one valid label, and shares it with no other id", () => {
    const ids = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string(),
      fc.constantFrom("a.b", "a=2Eb", "a:b", "*", "=u0041", "\ud800"),
    );
    fc.assert(
      fc.property(ids, ids, (a, b) => {
        fc.pre(a.trim() !== "" && b.trim() !== "");
        expect(decodeUserId(encodeUserId(a))).toBe(a);
        expect(encodeUserId(a)).not.toMatch(/[.:*\p{Cc}]|^langgraph$|^email_assistant$/u);
        expect(encodeUserId(a) === encodeUserId(b)).toBe(a === b);
      }),
    );
  });

  test("a and a.b have no namespace in common", () => {
    const a = Object.values(userNamespaces("a"));
    const b = Object.values(userNamespaces("a.b"));
    for (const one of a) for (const other of b) expect(other.join(".").startsWith(`${one.join(".")}.`)).toBe(false);
  });

  test.each(["", "  ", "x".repeat(513)])("an empty or overlong id is refused (%#)", (id) => {
    expect(() => encodeUserId(id)).toThrow(/user id/);
  });
});
