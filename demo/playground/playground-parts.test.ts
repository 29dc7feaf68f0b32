import { describe, expect, it } from "vitest";
import type { Pass } from "webgpu-attention";
import type { Field } from "../../kernels/_playground/mechanism.js";
import { duration, scientific, withPrefix } from "./format.js";
import { tokens } from "./highlight.js";
import { fromHash, possibleValues, toHash } from "./link-state.js";
import { median } from "./measure.js";
import { passRows } from "./pass-rows.js";

const FIELDS: readonly Field[] = [
  { kind: "number", name: "size", label: "", initial: "64" },
  { kind: "text", name: "lengths", label: "", initial: "" },
  { kind: "toggle", name: "causal", label: "", initial: "" },
  { kind: "choice", name: "dtype", label: "", initial: "f32", choices: [{ value: "f32", label: "" }] },
  { kind: "set", name: "axes", label: "", initial: "a", choices: [{ value: "a", label: "" }] },
];
const INITIAL = { size: "64", lengths: "", causal: "", dtype: "f32", axes: "a" };

describe("links", () => {
  it("carry what differs from a fresh page, and bring it back", () => {
    const values = { ...INITIAL, size: "7", lengths: "1, 2", causal: "on", axes: "" };
    const hash = toHash({ mechanism: "softmax", variant: "rows 8 x 8, 4 threads", values }, FIELDS);
    expect(hash).not.toContain("dtype");
    const read = fromHash(hash);
    expect([read.mechanism, read.variant]).toEqual(["softmax", "rows 8 x 8, 4 threads"]);
    expect(possibleValues(FIELDS, read.values)).toEqual(values);
  });

  it("are short for a fresh page, and may be empty", () => {
    expect(toHash({ mechanism: "softmax", variant: "", values: INITIAL }, FIELDS)).toBe("#mechanism=softmax");
    expect(fromHash("")).toEqual({ mechanism: "", variant: "", values: {} });
  });

  it("cannot bring in what no field takes", () => {
    const wild = { causal: "yes", dtype: "q8", axes: "a z", unknown: "1", size: "12" };
    expect(possibleValues(FIELDS, wild)).toEqual({ ...INITIAL, size: "12" });
  });
});

it.each([
  [0, "0 B"],
  [999, "999 B"],
  [1234, "1.23 kB"],
  [12_300_000, "12.3 MB"],
  [2e15, "2,000 TB"],
])("writes %d bytes as %s", (bytes, text) => {
  expect(withPrefix(bytes, "B")).toBe(text);
});

it("writes times and errors in figures that people read", () => {
  expect([0.0123, 0.5, 12.34, 345.6, 12_345].map(duration)).toEqual([
    "12.3 µs",
    "0.500 ms",
    "12.3 ms",
    "346 ms",
    "12.3 s",
  ]);
  expect([1e-5, 3.14e-7, 0, Number.POSITIVE_INFINITY].map(scientific)).toEqual(["1e-5", "3.1e-7", "0", "∞"]);
});

it("takes the median of odd and even numbers of runs", () => {
  expect([median([3, 1, 2]), median([4, 1, 2, 3])]).toEqual([2, 2.5]);
});

it("puts passes of one kind in one row, with their sums", () => {
  const pass = (name: string, constants: Pass["constants"]) =>
    ({
      name,
      variant: "",
      constants,
      workgroups: [4, 1, 1],
      cost: { flops: 10, bytes: 3 },
    }) as unknown as Pass;
  const rows = passRows(
    [pass("a", { N: 1, OFF: false, ON: true }), pass("a", { N: 1, OFF: false, ON: true }), pass("b", {})],
    [1, 2, 4],
  );
  expect(rows).toEqual([
    {
      name: "a",
      variant: "base",
      constants: "N 1 · ON",
      workgroups: "4",
      count: 2,
      flops: 20,
      bytes: 6,
      milliseconds: 3,
    },
    {
      name: "b",
      variant: "base",
      constants: "",
      workgroups: "4",
      count: 1,
      flops: 10,
      bytes: 3,
      milliseconds: 4,
    },
  ]);
});

it("colours code without losing any of it", () => {
  const code = 'const a = 0x1f; // "not a string"\nimport { f32 } from "x";';
  const found = tokens(code);
  expect(found.map(({ text }) => text).join("")).toBe(code);
  expect(found.filter(({ kind }) => kind !== "plain").map(({ kind, text }) => `${kind} ${text}`)).toEqual([
    "keyword const",
    "number 0x1f",
    'comment // "not a string"',
    "keyword import",
    "keyword from",
    'string "x"',
  ]);
});
