/** Every way to multiply 4-bit numbers selects bitwise the same blocks, and those of the authors' code. */
import { describe, expect, test } from "vitest";
import { testContext } from "../../test/support/gpu.js";
import { SALE_CASES, type SaleCase } from "./cases.js";
import { makeCaseInputs, readLists } from "./check-case.js";
import { checkGolden, GOLDEN, readGolden } from "./check-golden.js";
import type { SelectConfiguration } from "./configuration.js";
import { checkProblem } from "./problem.js";
import { compileSelection } from "./selection.js";

const CONFIGURATIONS: readonly SelectConfiguration[] = [
  { localRows: 8, dot4: false, rows: 8, keys: 8, lanes: 1, unroll: true, unrollWords: false },
  { localRows: 8, dot4: true, rows: 16, keys: 2, lanes: 1, unroll: true, unrollWords: true },
  // As planned for a GPU.
  { localRows: 2, dot4: true, rows: 8, keys: 4, lanes: 8, unroll: false, unrollWords: false },
  { localRows: 1, dot4: false, rows: 16, keys: 2, lanes: 8, unroll: false, unrollWords: false },
];

/** The blocks of a case by each configuration, in many dispatches. */
async function masksOf(problem: SaleCase): Promise<Uint8Array[]> {
  const ctx = await testContext();
  const { thresholds, blockK, segment, localWindow } = problem;
  const inputs = makeCaseInputs(problem);
  const [q, k] = [inputs.q, inputs.k].map(({ data, shape }) => ctx.fromArray(data, shape));
  const tensors = { q: q!, k: k! };
  const v = { dtype: "f32", shape: inputs.v.shape } as const;
  const given = { ...tensors, v, thresholds, blockK, segment, localWindow };
  const shape = checkProblem(given, ctx.capabilities);
  const masks: Uint8Array[] = [];
  for (const configuration of CONFIGURATIONS) {
    const plan = await compileSelection(ctx, shape, thresholds, { configuration, maxDispatchFlops: 1e6 });
    await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    masks.push(await readLists(ctx, plan.buffers.lists, shape));
    plan.destroy();
  }
  return masks;
}

const CHOSEN =
  /^(many blocks|grouped heads, two batches|blocks of 16 keys|D 33, Dv 7|the same query everywhere)$/;

test.each(SALE_CASES.filter(({ name }) => CHOSEN.test(name)))("bitwise equal: $name", async (problem) => {
  const [first, ...others] = await masksOf(problem);
  expect(first!.some((kept) => kept === 1)).toBe(true);
  for (const other of others) expect(other).toEqual(first);
});

// Chromium has no file system; `npm run verify` takes the files there.
describe.runIf(typeof process !== "undefined")("the authors' blocks and integers", () => {
  test.each(
    GOLDEN.flatMap((name) => CONFIGURATIONS.slice(0, 3).map((configuration) => ({ name, configuration }))),
  )("$name, dot4 $configuration.dot4, $configuration.lanes lanes", async ({ name, configuration }) => {
    await checkGolden(await testContext(), readGolden("test/golden", name), configuration);
  });
});
