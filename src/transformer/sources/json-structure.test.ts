import { expect, test } from "vitest";
import { brokenNesting, repeatedName } from "./json-structure.js";

test.each([
  '{"a": 1, "b": {"a": [{"a": "a"}, {"a": ":"}]}, "c": "a"}',
  '["a", "a", {"x": "\\"x\\":"}]',
  '"a"',
  '{"a\\\\": 1, "a": 2}',
])("nothing is wrong with %s", (text) => {
  JSON.parse(text);
  expect(repeatedName(text)).toBeUndefined();
  expect(brokenNesting(text)).toBeUndefined();
});

test.each<[string, string]>([
  ['{"a": 1, "b": 2, "a": 3}', "a"],
  ['{"a": {"data_offsets": [0, 4], "data_offsets" : [4, 8]}}', "data_offsets"],
  ['[{"b": 1}, {"b": 1, "c": {"b": 2}, "\\u0062": 3}]', "b"],
])("names an object's own twice: %s", (text, name) => {
  JSON.parse(text);
  expect(repeatedName(text)?.expected).toContain(`"${name}"`);
});

test.each<[string, string]>([
  ["JSON", `${'{"a":['.repeat(50_000)}${"]}".repeat(50_000)}`],
  ["brackets that nothing closes", "[".repeat(50_000)],
  ["brackets behind a string", `["]", "\\"${'"'}, ${"[".repeat(70)}`],
])("nesting ends somewhere: %s", (_name, text) => {
  expect(brokenNesting(text)?.got).toBe("deeper ones");
});

test.each(['"', '{"a', '{"a\\', `["${"[".repeat(70)}`, `"${"[".repeat(70)}"`, "]]"])(
  "a text that is no JSON has an end all the same: %s",
  (text) => {
    expect(brokenNesting(text)).toBeUndefined();
  },
);
