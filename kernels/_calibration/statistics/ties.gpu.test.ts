import { beforeAll, describe, expect, test } from "vitest";
import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import type { AttentionContext, TensorView } from "../../../src/index.js";
import { testContext } from "../../../test/support/gpu.js";
import { softmaxAttention } from "../../softmax/index.js";
import { compileStatistics } from "./compile.js";
import { type AttentionStatisticsProblem, checkStatistics } from "./problem.js";

const [ROWS, KEYS, TOP] = [2, 900, 20];

let ctx: AttentionContext;
beforeAll(async () => {
  ctx = await testContext();
});

/** Seven weights among 900 keys, which come and go in no order: most places of a list are decided by ties. */
const level = (key: number) => ((key * 37) % 101) % 7;

/** Keys that a row sees, by descending weight, equals by ascending key. */
const expectedKeys = (seen: number, weigh: (key: number) => number) =>
  Array.from({ length: seen }, (_, key) => key)
    .sort((a, b) => weigh(b) - weigh(a) || a - b)
    .slice(0, TOP);

interface Run {
  readonly scale: number;
  readonly rowTerms?: boolean;
  readonly device?: { readonly capabilities?: Capabilities; readonly unroll?: boolean };
}

async function keysOfRows({ scale, rowTerms = false, device = { unroll: false } }: Run) {
  const q = ctx.fromArray(new Float32Array(ROWS * 4).fill(1), [1, ROWS, 1, 4]);
  const k = ctx.fromArray(
    Float32Array.from({ length: KEYS * 4 }, (_, index) => level(Math.floor(index / 4))),
    [1, KEYS, 1, 4],
  );
  const options = { causal: true, scale };
  const { lse } = await softmaxAttention(ctx, q, k, k, { ...options, lse: true });
  const terms = new Float32Array(ROWS * 4);
  for (let row = 0; row < ROWS; row++) terms.set([0.5, 0, 0.25], 4 * row);
  // No key has a term of its own.
  const words = new Uint32Array(terms.buffer).map((word, index) => (index % 4 === 3 ? 0xffffffff : word));
  const termsView = ctx.fromArray(terms, [1, 1, ROWS, 4]);
  ctx.device.queue.writeBuffer(termsView.buffer, 0, words);
  const problem: AttentionStatisticsProblem = {
    ...{ ...options, q, k, lse: lse! },
    statistics: { argmax: true, topKeys: TOP },
    ...(rowTerms && { rowTerms: termsView }),
  };
  const shape = checkStatistics(problem, ctx.capabilities);
  const plan = await compileStatistics<Record<string, TensorView>>(ctx, shape, problem, device);
  const outputs = Object.fromEntries(
    Object.entries(shape.outputs).map(([name, layout]) => [
      name,
      { ...layout, buffer: ctx.empty(layout.shape, "f32").buffer },
    ]),
  );
  await ctx.submitChecked((encoder) =>
    plan.record(encoder, { q, k, lse: lse!, ...(rowTerms && { rowTerms: termsView }), ...outputs }),
  );
  plan.destroy();
  const [top, first] = [await ctx.read(outputs.topKeys!), await ctx.read(outputs.argmaxKey!)];
  return Array.from({ length: ROWS }, (_, row) => ({
    top: [...top.subarray(row * TOP, (row + 1) * TOP)],
    first: first[row]!,
  }));
}

describe("of equals the first key comes first", () => {
  test.each<[string, Run, (key: number) => number]>([
    ["when all are equal", { scale: 0 }, () => 0],
    ["when all are equal after a mix", { scale: 0, rowTerms: true }, () => 0],
    ["among seven weights", { scale: 0.25 }, level],
  ])("%s", async (_name, run, weigh) => {
    for (const [row, { top, first }] of (await keysOfRows(run)).entries()) {
      const expected = expectedKeys(KEYS - ROWS + 1 + row, weigh);
      expect(top).toEqual(expected);
      expect(first).toBe(expected[0]);
    }
  });

  test("where a device bounds rounds, and lists move several places in one", async () => {
    const { capabilities } = ctx;
    const llvmpipe = {
      ...capabilities,
      software: true,
      adapter: { ...capabilities.adapter, architecture: "llvmpipe", description: "llvmpipe" },
    };
    for (const unroll of [true, false]) {
      const run = { scale: 0.25, device: { capabilities: llvmpipe, unroll } };
      for (const [row, { top }] of (await keysOfRows(run)).entries())
        expect(top).toEqual(expectedKeys(KEYS - ROWS + 1 + row, level));
    }
  });
});
