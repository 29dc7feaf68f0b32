import { describe, expect, test } from "vitest";
import type { Shape4, TensorLayout } from "../../src/dispatch/tensor-view.js";
import { minimumCapabilities } from "../../test/support/capabilities.js";
import { checkProblem, type SoftmaxProblem, type SoftmaxShape } from "./problem.js";
import { MOST_ELEMENTS, proxyCase, proxyElements, proxyFlops, proxySizes } from "./proxy.js";
import { checkedRows } from "./proxy-check.js";
import { decodeBlocks } from "./sizes.js";

const capabilities = minimumCapabilities({ maxStorageBufferBindingSize: 2 ** 40 });

function shape(
  q: Shape4,
  [tokensK, kvHeads]: readonly [number, number],
  options: Partial<SoftmaxProblem> = {},
): SoftmaxShape {
  const [batch, , , dim] = q;
  const k: TensorLayout = { dtype: "f32", shape: [batch, tokensK, kvHeads, dim] };
  return checkProblem({ q: { dtype: "f32", shape: q }, k, v: k, ...options }, capabilities);
}

const LARGE: readonly [string, SoftmaxShape][] = [
  ["a prefill", shape([4, 8192, 32, 128], [8192, 8], { causal: true })],
  ["multi-query attention of many heads", shape([1, 2048, 1024, 64], [2048, 1])],
  ["decoding by many heads of one key head", shape([8, 1, 1024, 128], [32_768, 1])],
  ["decoding of many batches", shape([256, 1, 32, 128], [8192, 8])],
  ["wide heads", shape([2, 4096, 16, 256], [4096, 16])],
  [
    "a bias along all axes",
    shape([2, 4096, 16, 64], [4096, 16], { bias: { dtype: "f32", shape: [2, 16, 4096, 4096] } }),
  ],
];

describe.each(LARGE)("the proxy of %s", (_name, problem) => {
  test.each([1e6, 1e8, 1e12])(
    "is made in a moment, whatever the device could take (%d operations)",
    (flops) => {
      const sizes = proxySizes(problem, flops);
      expect(proxyElements(problem, sizes)).toBeLessThanOrEqual(MOST_ELEMENTS);
      expect(sizes.heads % sizes.kvHeads).toBe(0);
      for (const name of ["batches", "tokensQ", "tokensK", "heads", "kvHeads"] as const)
        expect(sizes[name]).toBeLessThanOrEqual(problem[name]);
    },
  );

  test("comes down to what the slowest device can run", () => {
    const sizes = proxySizes(problem, 1e6);
    expect(proxyFlops(problem, sizes)).toBeLessThan(5e7);
    expect(proxyFlops(problem, sizes)).toBeLessThanOrEqual(proxyFlops(problem, proxySizes(problem, 1e8)));
  });

  test("is checked by little arithmetic, at heads and rows from first to last", () => {
    const { batches, tokensQ, tokensK, heads, kvHeads, headDim, valueDim } = proxySizes(problem, 1e9);
    const tensor = (size: Shape4) => ({ shape: size, data: new Float32Array() });
    const rows = checkedRows({
      q: tensor([batches, tokensQ, heads, headDim]),
      k: tensor([batches, tokensK, kvHeads, headDim]),
      v: tensor([batches, tokensK, kvHeads, valueDim]),
      options: { rope: {} },
    });
    const checked = rows.flatMap((row) => row.heads);
    expect(checked.length * tokensK * (8 * headDim + valueDim)).toBeLessThan(2 ** 25);
    expect(new Set(checked).size).toBeGreaterThanOrEqual(Math.min(heads, 3));
    for (const head of checked) expect(head).toBeLessThan(heads);
    expect(rows.at(-1)).toMatchObject({ batch: batches - 1, query: tokensQ - 1 });
  });
});

describe("a proxy", () => {
  test("is the problem itself where that is small", () => {
    const { batches, tokensQ, tokensK, heads } = proxySizes(shape([2, 64, 4, 32], [64, 4]), 1e9);
    expect([batches, tokensQ, tokensK, heads]).toEqual([2, 64, 64, 4]);
  });

  test("of decoding loses keys before the blocks that keep the device busy", () => {
    const problem = shape([4, 1, 16, 64], [8192, 4]);
    const sizes = proxySizes(problem, proxyFlops(problem, problem) / 10);
    expect(decodeBlocks(sizes)).toBe(decodeBlocks(problem));
    expect(sizes.tokensK).toBeLessThan(1024);
  });

  test("of a prefill loses batches before tokens", () => {
    const problem = shape([4, 512, 8, 64], [512, 8]);
    const sizes = proxySizes(problem, proxyFlops(problem, problem) / 4);
    expect(sizes).toMatchObject({ batches: 1, tokensQ: 512, heads: 8 });
  });

  test("has the default scale, so that made-up numbers leave something to compare", () => {
    const problem = shape([1, 64, 2, 16], [64, 2], { scale: 1e5 });
    expect(proxyCase(problem, problem).options).not.toHaveProperty("scale");
  });
});

test("rows of small problems are checked with all their heads", () => {
  const tensor = (size: Shape4) => ({ shape: size, data: new Float32Array() });
  const small = tensor([1, 40, 6, 16]);
  const rows = checkedRows({ q: small, k: small, v: small, options: {} });
  expect(rows).toHaveLength(12);
  for (const { heads } of rows) expect([...heads].sort()).toEqual([0, 1, 2, 3, 4, 5]);
});
