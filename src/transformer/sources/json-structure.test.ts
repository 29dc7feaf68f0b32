import { expect, test } from "vitest";
import { brokenStructure } from "./json-structure.js";

test.each([
  '{"a": 1, "b": {"a": [{"a": "a"}, {"a": ":"}]}, "c": "a"}',
  '["a", "a", {"x": "\\"x\\":"}]',
  '"a"',
  '{"a\\\\": 1, "a": 2}',
])("nothing is wrong with %s", (text) => {
  JSON.parse(text);
  expect(brokenStructure(text)).toBeUndefined();
});

test.each<[string, string]>([
  ['{"a": 1, "b": 2, "a": 3}', "a"],
  ['{"a": {"data_offsets": [0, 4], "data_offsets" : [4, 8]}}', "data_offsets"],
  ['[{"b": 1}, {"b": 1, "c": {"b": 2}, "\\u0062": 3}]', "b"],
])("names an object's own twice: %s", (text, name) => {
  JSON.parse(text);
  expect(brokenStructure(text)?.expected).toContain(`"${name}"`);
});

test("nesting ends somewhere", () => {
  const text = `${'{"a":['.repeat(50_000)}${"]}".repeat(50_000)}`;
  JSON.parse(text);
  expect(brokenStructure(text)?.got).toBe("deeper ones");
});
