import { describe, expect, it } from "vitest";
import { difference } from "../../test/support/compare.js";
import { goldenFiles } from "../../test/support/golden.js";
import type { DenseTensor } from "../softmax/reference.js";
import { goldenModule } from "./golden-modules.js";
import { headRouterReference, mixtureOfHeadReference } from "./reference.js";

/** What remains is the float32 rounding of the authors' code. */
const ROUNDING = 2e-6;

describe("mixtureOfHeadReference", () => {
  it.each(goldenFiles("moh"))("agrees with the authors' code: $file", (file) => {
    const found = mixtureOfHeadReference(goldenModule(file));
    const stored = (name: string) => file.tensors.get(name)?.data as Float32Array | undefined;
    expect(difference(found.out, stored("out")!).maxRelative).toBeLessThan(ROUNDING);
    expect(difference(found.core, stored("core")!).maxRelative).toBeLessThan(ROUNDING);
    const loss = stored("l_aux");
    if (loss) expect(difference([found.loss], loss).maxRelative).toBeLessThan(ROUNDING);
    const logits = ["router_wg", "router_wg_1", "router_wg_0"].flatMap((name) => {
      const tensor = file.tensors.get(name);
      return tensor ? [{ data: tensor.data as Float32Array, columns: tensor.shape.at(-1)! }] : [];
    });
    const width = logits.reduce((sum, { columns }) => sum + columns, 0);
    let first = 0;
    for (const { data, columns } of logits) {
      const own = found.scores.filter((_, i) => i % width >= first && i % width < first + columns);
      expect(difference(own, data).maxRelative).toBeLessThan(ROUNDING);
      first += columns;
    }
    const mask = file.tensors.get("head_mask")?.data as Uint8Array | undefined;
    if (mask) expect(Array.from(found.gates, (gate) => Number(gate !== 0))).toEqual(Array.from(mask));
  });
});

describe("headRouterReference", () => {
  const tensor = (data: number[], tokens: number): DenseTensor => {
    return { data, shape: [1, tokens, 1, data.length / tokens] };
  };
  const weights = (inner: number, columns: number, value = 0): DenseTensor => {
    return { data: Array.from({ length: inner * columns }, () => value), shape: [1, 1, inner, columns] };
  };

  it("takes the lowest of equal heads", () => {
    const routed = headRouterReference({
      ...{ heads: 6, sharedHeads: 2, topK: 2, x: tensor([1, 1, 1, 1], 1) },
      weights: { routed: weights(4, 4), shared: weights(4, 2), balance: weights(4, 2) },
    });
    expect([...routed.gates]).toEqual([1, 1, 1, 1, 0, 0]);
    expect(routed.margin).toBe(0);
    const q: DenseTensor = { data: [3, 1, -2, 2, 2], shape: [1, 1, 5, 1] };
    expect([...headRouterReference({ heads: 5, sharedHeads: 1, topK: 2, q }).gates]).toEqual([1, 0, 1, 1, 0]);
  });

  it("makes gates whose sum is the number of active heads, the balance aside", () => {
    const x = tensor([0.3, -2, 1, 0.7], 2);
    const routed: DenseTensor = { data: [1, -1, 2, 0.5, 0.25, 3], shape: [1, 1, 2, 3] };
    const none = headRouterReference({ heads: 3, sharedHeads: 0, topK: 2, x, weights: { routed } });
    for (const row of [0, 1]) {
      const own = none.gates.subarray(3 * row, 3 * row + 3);
      expect(own.reduce((sum, gate) => sum + gate, 0)).toBeCloseTo(2, 12);
      expect(own.filter((gate) => gate !== 0)).toHaveLength(2);
    }
    const all = headRouterReference({ heads: 3, sharedHeads: 0, topK: 3, x, weights: { routed } });
    expect(all.margin).toBe(Number.POSITIVE_INFINITY);
    // With every head taken each has the loss 1 · p, which sums to 1 over heads, times E.
    expect(all.loss).toBeCloseTo(3, 12);
  });
});
