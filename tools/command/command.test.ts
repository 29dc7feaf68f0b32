import { afterEach, expect, test, vi } from "vitest";
import { readOptions, wholeNumber } from "./read-options.js";
import { exitCode } from "./run-command.js";
import { UsageError } from "./usage-error.js";

afterEach(() => vi.restoreAllMocks());

test.each([
  [async () => true, 0, "", ""],
  [async () => false, 1, "", ""],
  [async () => "help" as const, 0, "the help", ""],
  [
    async () => {
      throw new Error("no such file");
    },
    1,
    "",
    "no such file",
  ],
  [
    async () => {
      throw new UsageError("no such option");
    },
    2,
    "",
    "no such option\n\nthe help",
  ],
])("ends as a command does: %#", async (command, code, out, err) => {
  const log = vi.spyOn(console, "log").mockImplementation(() => {});
  const error = vi.spyOn(console, "error").mockImplementation(() => {});
  expect(await exitCode("the help", command, [])).toBe(code);
  expect(log.mock.calls.join()).toBe(out);
  expect(error.mock.calls.join()).toBe(err);
});

test("options that there are not are wrong usage, and numbers that are none", () => {
  const options = { rounds: { type: "string", default: "3" } } as const;
  expect(readOptions(["--rounds", "5"], { options }).values.rounds).toBe("5");
  expect(readOptions([], { options }).values.rounds).toBe("3");
  expect(() => readOptions(["--round", "5"], { options })).toThrow(UsageError);
  expect(() => readOptions(["5"], { options })).toThrow(UsageError);
  expect(wholeNumber("--rounds", "5", 3)).toBe(5);
  for (const wrong of ["2", "", "3.5", "1e3", "many"])
    expect(() => wholeNumber("--rounds", wrong, 3)).toThrow(
      `--rounds is a whole number of at least 3, not "${wrong}"`,
    );
});
