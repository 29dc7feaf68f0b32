import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { AttentionContext } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import { planGate, planLrpe, planRmsNorm } from "./index.js";
import { gateReference, lrpeReference, rmsNormReference } from "./reference.js";
import { TestTensors } from "./test-tensors.js";

const TOLERANCE = 1e-5;

describe("layers around linear attention", () => {
  let ctx: AttentionContext;
  let tensors: TestTensors;
  beforeAll(async () => {
    ctx = await testContext();
    tensors = new TestTensors(ctx);
  });
  afterAll(() => tensors.destroy());

  test.each([
    [1, "dense"],
    [65, "sparse"],
    [96, "dense"],
  ] as const)("RMS norm of %i channels, %s, with scale and without", async (dim, layout) => {
    const x = tensors.normal(10 * dim);
    // A row of zeros and one near the smallest squares that count.
    x.fill(0, 0, dim);
    for (let c = dim; c < 2 * dim; c++) x[c]! *= 1e-4;
    const scale = tensors.normal(dim);
    const upload = layout === "dense" ? tensors.upload.bind(tensors) : tensors.uploadSparse.bind(tensors);
    const views = { x: upload(x, [2, 5, 1, dim]), out: tensors.empty([2, 5, 1, dim]) };
    const matrix = { data: x, rows: 10, columns: dim };
    const plain = await tensors.run(await planRmsNorm(ctx, views), views);
    expect(difference(plain, rmsNormReference(matrix, 1e-6)).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    const scaled = { ...views, scale: upload(scale, [1, 1, 1, dim]), out: tensors.empty([2, 5, 1, dim]) };
    const actual = await tensors.run(await planRmsNorm(ctx, { ...scaled, epsilon: 1e-3 }), scaled);
    expect(difference(actual, rmsNormReference(matrix, 1e-3, scale)).maxRelative).toBeLessThanOrEqual(
      TOLERANCE,
    );
  });

  test.each(["none", "silu", "sigmoid"] as const)("gate, %s", async (activation) => {
    const dim = 7;
    const [x, gate] = [tensors.normal(6 * dim), tensors.normal(6 * dim).map((value) => 20 * value)];
    const views = {
      x: tensors.uploadSparse(x, [2, 3, 1, dim]),
      gate: tensors.upload(gate, [2, 3, 1, dim]),
      out: tensors.empty([2, 3, 1, dim]),
    };
    const actual = await tensors.run(await planGate(ctx, { ...views, activation }), views);
    expect(difference(actual, gateReference(x, gate, activation)).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    // Nothing but a sum; and a gate for all tokens before it.
    const residual = tensors.normal(6 * dim);
    const added = { x: views.x, residual: tensors.uploadSparse(residual, [2, 3, 1, dim]), out: views.out };
    expect(await tensors.run(await planGate(ctx, added), added)).toEqual(
      x.map((value, n) => value + residual[n]!),
    );
    const shared = { ...added, gate: tensors.upload(gate.subarray(0, dim), [1, 1, 1, dim]) };
    const opened = gateReference(
      x,
      x.map((_, n) => gate[n % dim]!),
      activation,
    );
    const sum = await tensors.run(await planGate(ctx, { ...shared, activation }), shared);
    expect(
      difference(
        sum,
        opened.map((value, n) => value + residual[n]!),
      ).maxRelative,
    ).toBeLessThanOrEqual(TOLERANCE);
  });

  test.each([0, 1_000_003])("LRPE from position %i", async (firstPosition) => {
    const shape = [2, 5, 3, 6] as const;
    const x = tensors.normal(180);
    const views = { x: tensors.uploadSparse(x, shape), out: tensors.empty([2, 5, 3, 12]) };
    const actual = await tensors.run(await planLrpe(ctx, { ...views, firstPosition }), views);
    const expected = lrpeReference(x, shape, 10_000, firstPosition);
    expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    // Learned frequencies, at the end of sequences that are as long as a buffer says.
    const given = {
      lengths: tensors.uploadBytes(
        new Uint8Array(Uint32Array.of(firstPosition + 5, firstPosition + 5).buffer),
      ),
      frequencies: Array.from({ length: 18 }, (_, c) => 10_000 ** ((-2 * c) / 18)),
    };
    expect(await tensors.run(await planLrpe(ctx, { ...views, ...given }), views)).toEqual(actual);
  });
});
