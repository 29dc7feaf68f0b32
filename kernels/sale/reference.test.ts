import { describe, expect, it } from "vitest";
import { difference } from "../../test/support/compare.js";
import { goldenFiles } from "../../test/support/golden.js";
import { goldenHeads, goldenInputs } from "./golden-case.js";
import { saleReference } from "./reference.js";

describe("saleReference", () => {
  const cases = goldenFiles("sale").filter(({ tensors }) => tensors.has("block_mask"));
  it.each(cases)("agrees with the authors' code: $file", (file) => {
    const heads = saleReference(goldenInputs(file));
    const expected = goldenHeads(file);
    expect(heads).toHaveLength(expected.length);
    for (const [index, head] of heads.entries()) {
      const wanted = expected[index]!;
      expect(head.q.integers).toEqual(wanted.qIntegers);
      expect(head.k.integers).toEqual(wanted.kIntegers);
      expect(head.mask).toEqual(wanted.mask);
      expect(head.selectable).toEqual(wanted.selectable);
      // What remains is the float32 rounding of the authors' code.
      const rounded = [
        [head.q.scales, wanted.qScales],
        [head.k.scales, wanted.kScales],
        [head.q.mean, wanted.qMean],
        [head.k.mean, wanted.kMean],
        [head.correction, wanted.correction],
        [head.max, wanted.max],
        [head.sum, wanted.sum],
        [head.threshold, wanted.threshold],
        [head.out, wanted.out],
      ] as const;
      for (const [actual, one] of rounded) expect(difference(actual, one).maxRelative).toBeLessThan(3e-6);
    }
  });
});
