import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { AttentionContext } from "../../src/index.js";
import { difference } from "../../test/support/compare.js";
import { testContext } from "../../test/support/gpu.js";
import type { Activation } from "./index.js";
import { planLinear } from "./index.js";
import { linearReference } from "./reference.js";
import { contextAsOnGpu, expectForGpu, TestTensors } from "./test-tensors.js";

const TOLERANCE = 1e-5;

interface Case {
  readonly name: string;
  readonly batches?: number;
  readonly tokens?: number;
  readonly inner?: number;
  readonly outer?: number;
  readonly bias?: boolean;
  readonly residual?: boolean;
  readonly activation?: Activation;
  readonly weight?: "[out, in]" | "sparse";
  readonly sparse?: boolean;
}

const SIZES = [1, 3, 4, 5, 17, 64, 65, 130];

const CASES: Case[] = [
  ...SIZES.map((tokens) => ({ name: `${tokens} rows`, tokens, inner: 8, outer: 12 })),
  ...SIZES.map((inner) => ({ name: `${inner} inner channels`, inner, tokens: 9, outer: 8 })),
  ...SIZES.map((outer) => ({ name: `${outer} outer channels`, outer, tokens: 9, inner: 8, bias: true })),
  ...([1, 5, 132] as const).map((n) => ({ name: `${n} x ${n} x ${n}`, tokens: n, inner: n, outer: n })),
  { name: "more columns than a tile", tokens: 20, inner: 16, outer: 260, bias: true, residual: true },
  ...(["none", "relu", "tanh", "gelu", "silu"] as const).map((activation) => ({
    name: `${activation} with bias and residual`,
    activation,
    bias: true,
    residual: true,
  })),
  { name: "[out, in] weights", weight: "[out, in]", inner: 20, outer: 36 },
  { name: "[out, in] weights of odd sizes", weight: "[out, in]", inner: 7, outer: 33 },
  { name: "sparse weights", weight: "sparse" },
  // Where each load is a loop, a driver that ends loops leaves out the last channels.
  { name: "long rows of odd sizes", batches: 1, tokens: 3, inner: 5001, outer: 5 },
  { name: "sparse rows, batches, bias and residual", sparse: true, bias: true, residual: true, batches: 3 },
];

describe.each([
  ["this adapter", testContext, false],
  ["a GPU", contextAsOnGpu, true],
] as const)("linear, planned for %s", (_, createContext, asOnGpu) => {
  let ctx: AttentionContext;
  let tensors: TestTensors;
  beforeAll(async () => {
    ctx = await createContext();
    tensors = new TestTensors(ctx);
  });
  afterAll(() => tensors.destroy());

  describe("agrees with the float64 reference", () => {
    test.each(CASES)("$name", async ({ batches = 2, tokens = 11, inner = 24, outer = 40, ...c }) => {
      const rows = batches * tokens;
      const x = tensors.normal(rows * inner);
      const weight = tensors.normal(inner * outer);
      const bias = c.bias ? tensors.normal(outer) : undefined;
      const residual = c.residual ? tensors.normal(rows * outer) : undefined;
      const upload = c.sparse ? tensors.uploadSparse.bind(tensors) : tensors.upload.bind(tensors);
      const views = {
        x: upload(x, [batches, tokens, 1, inner]),
        weight:
          c.weight === "[out, in]"
            ? {
                ...tensors.upload(transpose(weight, inner, outer), [1, 1, inner, outer]),
                strides: [0, 0, 1, inner] as const,
              }
            : c.weight === "sparse"
              ? tensors.uploadSparse(weight, [1, 1, inner, outer])
              : tensors.upload(weight, [1, 1, inner, outer]),
        ...(bias && { bias: upload(bias, [1, 1, 1, outer]) }),
        ...(residual && { residual: upload(residual, [batches, tokens, 1, outer]) }),
        out: c.sparse
          ? tensors.uploadSparse(new Float32Array(rows * outer).fill(Number.NaN), [batches, tokens, 1, outer])
          : tensors.empty([batches, tokens, 1, outer]),
      };
      const plan = await planLinear(ctx, { ...views, ...(c.activation && { activation: c.activation }) });
      if (asOnGpu) expectForGpu(plan.passes);

      const actual = await tensors.run(plan, views);

      const expected = linearReference(
        { data: x, rows, columns: inner },
        { data: weight, rows: inner, columns: outer },
        { bias, residual, activation: c.activation },
      );
      expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    });
  });

  test("in several dispatches", async () => {
    const [rows, inner, outer] = [150, 8, 260];
    const x = tensors.normal(rows * inner);
    const weight = tensors.normal(inner * outer);
    const views = {
      x: tensors.upload(x, [1, rows, 1, inner]),
      weight: tensors.upload(weight, [1, 1, inner, outer]),
      out: tensors.empty([1, rows, 1, outer]),
    };
    const hurried = await AttentionContext.create(ctx.device, { maxDispatchMs: 1e-6 });
    Object.defineProperty(hurried, "capabilities", { value: ctx.capabilities });
    const plan = await planLinear(hurried, views);
    expect(plan.segments.length).toBe(plan.passes.length);
    expect(plan.passes.length).toBeGreaterThan(10);

    const actual = await tensors.run(plan, views);

    const expected = linearReference(
      { data: x, rows, columns: inner },
      { data: weight, rows: inner, columns: outer },
      {},
    );
    expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
  });

  test("activations stay finite for large arguments", async () => {
    const large = [-1e30, -200, -90, 90, 200, 1e30, 0, -0];
    for (const activation of ["tanh", "gelu", "silu"] as const) {
      const views = {
        x: tensors.upload(large, [1, 8, 1, 1]),
        weight: tensors.upload([1, 1, 1, 1], [1, 1, 1, 4]),
        out: tensors.empty([1, 8, 1, 4]),
      };
      // 1e30³ is beyond f32, but inside the bounded tanh only.
      const actual = await tensors.run(await planLinear(ctx, { ...views, activation }), views);
      const limit = activation === "tanh" ? Math.tanh : (value: number) => Math.max(value, 0);
      const expected = large.flatMap((value) => [0, 0, 0, 0].map(() => limit(value)));
      expect(difference(actual, expected).maxRelative).toBeLessThanOrEqual(TOLERANCE);
    }
  });
});

function transpose(data: Float32Array, rows: number, columns: number): Float32Array {
  return Float32Array.from(data, (_, n) => data[(n % rows) * columns + Math.floor(n / rows)]!);
}
