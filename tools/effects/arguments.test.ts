import { describe, expect, test } from "vitest";
import { HELP, readArguments } from "./arguments.js";

describe("arguments of npm run effect", () => {
  test("three seeds, full sizes", () => {
    expect(readArguments(["sinks"])).toEqual({ name: "sinks", seeds: [1, 2, 3], quick: false });
  });

  test("name other numbers of seeds, and tiny sizes", () => {
    expect(readArguments(["sinks", "--seeds", "1", "--quick"])).toEqual({
      ...{ name: "sinks", seeds: [1], quick: true },
    });
  });

  test("without a name, all effects are listed with the models that they need", () => {
    expect(readArguments([])).toBe("help");
    expect(HELP).toMatch(/head-hunter .*dit, image-softmax/);
  });

  test.each([
    [["sink"], /no effect "sink"; there are .*sinks/],
    [["sinks", "sale"], /one effect at a time/],
    [["sinks", "--seeds", "0"], /--seeds is a whole number/],
    [["sinks", "--seeds", "x"], /--seeds is a whole number/],
    [["sinks", "--fast"], /fast/],
  ])("refuse %j", (args, message) => {
    expect(() => readArguments(args)).toThrow(message);
  });
});
