import { describe, expect, it } from "vitest";
import { UsageError } from "../command/usage-error.js";
import { parseCommand } from "./arguments.js";

describe("parseCommand", () => {
  it("serves by default", () => {
    expect(parseCommand([])).toEqual({ kind: "serve", port: undefined, open: true });
    expect(parseCommand(["--port", "8080", "--no-open"])).toEqual({ kind: "serve", port: 8080, open: false });
  });

  it("searches headless, by default for five of at most 200 passages", () => {
    expect(parseCommand(["--headless", " the whale "])).toEqual({
      kind: "search",
      query: "the whale",
      text: undefined,
      top: 5,
      limit: 200,
    });
    expect(parseCommand(["--headless", "q", "--text", "a.txt", "--top", "2", "--limit", "9"])).toMatchObject({
      text: "a.txt",
      top: 2,
      limit: 9,
    });
  });

  it("gives help whatever else is asked", () => {
    expect(parseCommand(["--headless", "", "--help"])).toEqual({ kind: "help" });
  });

  it.each([
    [["--headless"], /headless/],
    [["--headless", "  "], /query is empty/],
    [["--headless", "q", "--top", "0"], /--top is "0".*whole number/],
    [["--headless", "q", "--top", "many"], /whole number/],
    [["--headless", "q", "--top", "1.5"], /whole number/],
    [["--headless", "q", "--port", "80"], /does not go with --headless/],
    [["--port", "70000"], /65535/],
    [["--text", "a.txt"], /goes with --headless/],
    [["--fast"], /--fast.*--help/],
    [["stray"], /stray/],
  ])("refuses %j", (args, message) => {
    expect(() => parseCommand(args)).toThrow(UsageError);
    expect(() => parseCommand(args)).toThrow(message);
  });
});
