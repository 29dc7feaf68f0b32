import { describe, expect, it } from "vitest";
import { UsageError } from "../tools/command/usage-error.js";
import { type BenchArguments, readArguments } from "./arguments.js";
import { findSuites } from "./find-suites.js";
import { benchProblem, rowName, type Suite } from "./suite.js";

const problems = [
  benchProblem("full 8", { tokensQ: 8, tokensK: 8 }),
  benchProblem("causal 8", { tokensQ: 8, tokensK: 8 }, { causal: true }),
];
const SUITES: Record<string, Suite> = {
  one: { byDefault: true, problems },
  two: { byDefault: true, problems: problems.slice(0, 1) },
  rare: { byDefault: false, problems },
};

const read = (args: readonly string[], suites = SUITES) => readArguments(args, suites) as BenchArguments;
const rowsOf = (...args: string[]) => read(args).rows.map(rowName);

describe("the bench command's arguments", () => {
  it("default to the suites that run by default, all peers and five rounds", () => {
    const args = readArguments([], SUITES);
    expect(args).toMatchObject({ peers: ["onnxruntime-web", "jax-js"], rounds: 5 });
    expect(rowsOf()).toEqual(["one full 8", "one causal 8", "two full 8"]);
  });

  it("choose suites in the order given, once each", () => {
    expect(rowsOf("--suite", "rare,two,rare")).toEqual(["rare full 8", "rare causal 8", "two full 8"]);
  });

  it("choose rows by suite and name", () => {
    expect(rowsOf("--filter", "one causal")).toEqual(["one causal 8"]);
  });

  it("choose peers, rounds, tuning and a file", () => {
    const given = ["--against", "jax-js", "--rounds", "7", "--tuning", "measure", "--json", "x.json"];
    const expected = { peers: ["jax-js"], rounds: 7, tuning: "measure", json: "x.json" };
    expect(readArguments(given, SUITES)).toMatchObject(expected);
    expect(read(["--against", "none"]).peers).toEqual([]);
  });

  it("may ask for help", () => {
    expect(readArguments(["--help"], SUITES)).toBe("help");
  });

  it.each([
    ["an unknown suite", ["--suite", "one,three"]],
    ["an empty suite", ["--suite", ""]],
    ["an unknown peer", ["--against", "tfjs"]],
    ["a filter that leaves nothing", ["--filter", "decode"]],
    ["too few rounds", ["--rounds", "4"]],
    ["half a round", ["--rounds", "5.5"]],
    ["an unknown tuning", ["--tuning", "guess"]],
    ["an unknown option", ["--suites", "one"]],
    ["a stray argument", ["one"]],
  ])("refuse %s", (_what, args) => {
    expect(() => readArguments(args, SUITES)).toThrow(UsageError);
  });

  it("name the suites of the folder, whose rows have names of their own", async () => {
    const suites = await findSuites();
    expect(Object.keys(suites)).toEqual(expect.arrayContaining(["decode", "prefill"]));
    const names = read(["--suite", Object.keys(suites).join(",")], suites).rows.map(rowName);
    expect(new Set(names).size).toBe(names.length);
  });
});
