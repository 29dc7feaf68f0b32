import { expect, test, vi } from "vitest";
import { parseJson, parseStrictJson } from "./read-json.js";

test.each([
  ["that decides what is loaded", parseStrictJson],
  ["of a tokenizer", parseJson],
])("JSON %s is not parsed where values are nested without end", (_name, read) => {
  const parse = vi.spyOn(JSON, "parse");
  try {
    const bytes = new TextEncoder().encode(`${"[".repeat(10_000)}${"]".repeat(10_000)}`);
    expect(() => read("config.json", bytes)).toThrow(
      expect.objectContaining({ code: "format", message: expect.stringContaining("deeper") }),
    );
    expect(parse).not.toHaveBeenCalled();
  } finally {
    parse.mockRestore();
  }
});
