import { describe, expect, it } from "vitest";
import { perturbHeads, softPag, ZERO_HEAD } from "./perturbation.js";

const heads = [{ layer: 1, head: 2 }];

describe("perturbHeads", () => {
  it("gives operations to the entries that are named", () => {
    const site = { layer: 1, mechanism: "softmax", phase: "prefill", positions: [0, 4] } as const;
    const hook = perturbHeads(heads, ZERO_HEAD, { entries: [1], batches: 2 });
    expect(hook.prepare!(site)).toEqual({ heads: [new Map(), new Map([[2, ZERO_HEAD]])] });
    expect(hook.prepare!({ ...site, layer: 0 })).toBeUndefined();
  });

  it.each<[string, string, () => unknown]>([
    [
      "entries that are not there",
      "shape",
      () => perturbHeads(heads, ZERO_HEAD, { entries: [2], batches: 2 }),
    ],
    ["entries of an unknown number", "shape", () => perturbHeads(heads, ZERO_HEAD, { entries: [0] })],
    ["heads below 0", "shape", () => perturbHeads([{ layer: 0, head: -1 }], ZERO_HEAD)],
    ["an operation without a kind", "unsupported", () => perturbHeads(heads, {} as never)],
    ["a strength above 1", "shape", () => softPag({ u: 2 })],
    ["a misspelt option", "unsupported", () => softPag({ paths: "slerp" } as never)],
  ])("refuses %s", (_, code, make) => {
    expect(make).toThrow(expect.objectContaining({ code }));
  });
});
