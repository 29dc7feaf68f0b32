import { expect, test } from "vitest";
import { type AddressKind, kindOfAddress, splitAddress } from "./address.js";

test.each<[AddressKind, string, string, string, string]>([
  ["url", "https://a.example/m/", "https://a.example/m/", "", ""],
  ["url", "https://a.example/m/?key=a/b", "https://a.example/m/", "", "?key=a/b"],
  ["url", "https://a.example/m.gguf?key=1#top", "https://a.example/", "m.gguf", "?key=1"],
  ["url", "models/m.gguf", "models/", "m.gguf", ""],
  ["path", "./m/", "./m/", "", ""],
  ["path", "m.gguf", "", "m.gguf", ""],
  ["path", "/what?/#1/", "/what?/#1/", "", ""],
  ["path", "/models/what?.gguf", "/models/", "what?.gguf", ""],
  ["path", "a\\b.gguf", "", "a\\b.gguf", ""],
  ["windows-path", "C:\\models\\smol\\", "C:\\models\\smol\\", "", ""],
  ["windows-path", "C:\\models\\m.gguf", "C:\\models\\", "m.gguf", ""],
  ["windows-path", "C:\\models/smol/m.gguf", "C:\\models/smol/", "m.gguf", ""],
  ["windows-path", "C:/models\\m.gguf", "C:/models\\", "m.gguf", ""],
])("%s %s", (kind, address, folder, name, query) => {
  expect(splitAddress(address, kind)).toEqual({ folder, name, query });
});

test("nothing names no place", () => {
  expect(splitAddress("", "path")).toBeUndefined();
  expect(splitAddress("?key=1", "url")).toBeUndefined();
});

test("a drive is no scheme", () => {
  const own = process.platform === "win32" ? "windows-path" : "path";
  expect(["C:\\models\\", "./m/", "https://a.example/", "file:///m/"].map(kindOfAddress)).toEqual([
    ...[own, own],
    ...["url", "url"],
  ]);
});
