import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { UsageError } from "../command/usage-error.js";
import { readArguments } from "./arguments.js";

let folder: string;
let empty: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "verify-"));
  empty = mkdtempSync(join(tmpdir(), "verify-"));
  for (const name of ["b_two.safetensors", "a_one.safetensors", "index.json"])
    writeFileSync(join(folder, name), "");
});

afterAll(() => {
  for (const path of [folder, empty]) rmSync(path, { recursive: true });
});

it("lists the cases of a folder, sorted", () => {
  expect(readArguments(["--cases", folder])).toEqual({
    folder,
    files: ["a_one.safetensors", "b_two.safetensors"],
  });
});

it("takes a filter and a file for the results", () => {
  const args = ["--cases", folder, "--filter", "two", "--json", "results.json"];
  expect(readArguments(args)).toEqual({ folder, files: ["b_two.safetensors"], json: "results.json" });
});

it.each<[string, () => string[]]>([
  ["no folder", () => []],
  ["a missing folder", () => ["--cases", join(empty, "none")]],
  ["a file in a folder's place", () => ["--cases", join(folder, "index.json")]],
  ["a folder without cases", () => ["--cases", empty]],
  ["a filter that leaves nothing", () => ["--cases", folder, "--filter", "three"]],
  ["an unknown option", () => ["--cases", folder, "--case", "x"]],
  ["a stray argument", () => ["--cases", folder, "x"]],
])("refuses %s", (_what, args) => {
  expect(() => readArguments(args())).toThrow(UsageError);
});
