import {
  createBlockMask,
  planSoftmaxAttention,
  readBlockMask,
  type SoftmaxConfiguration,
  softmaxAttention,
} from "../../kernels/softmax/index.js";
import { HEADS, KEYS, MASK_MODS, SCORE_MODS } from "../../kernels/softmax/mod-cases.js";
import type { AttentionContext } from "../../src/index.js";
import { runSoftmax, type SoftmaxRun, wordBuffer } from "../support/softmax-run.js";
import { type Attempt, attempts, beyond, type CaseChecks } from "./attempts.js";

const TILED: SoftmaxConfiguration = {
  kernel: "tiled",
  groups: 8,
  lanes: 4,
  rows: 2,
  keys: 4,
  staged: false,
  f16: false,
};
const base = { batches: 2, tokensQ: 40, tokensK: KEYS, heads: HEADS, kvHeads: 2 } as const;

/** Mods, block masks, listed rows and packed sequences under Naga, and what it says of a mod that does not compile. */
export function checkMasks(device: GPUDevice): Promise<CaseChecks> {
  return attempts(device, runMasks);
}

async function runMasks(ctx: AttentionContext, attempt: Attempt): Promise<void> {
  const expectRun = (name: string, run: SoftmaxRun) =>
    attempt(name, async () => {
      const { out, lse, outTolerance, lseTolerance } = await runSoftmax(ctx, run);
      return beyond(out, outTolerance) ?? beyond(lse, lseTolerance);
    });
  const position = (i: number) => i + KEYS - base.tokensQ;

  for (const [name, [scoreMod, meaning]] of Object.entries(SCORE_MODS)) {
    const reference = {
      scoreMod: (s: number, b: number, h: number, i: number, j: number) =>
        meaning(position(i), s, b, h, i, j),
    };
    await expectRun(name, { ...base, options: { scoreMod }, reference });
  }
  for (const [name, [maskMod, meaning]] of Object.entries(MASK_MODS)) {
    const reference = {
      maskMod: (b: number, h: number, i: number, j: number) => meaning(position(i), b, h, i, j),
    };
    const blockMask = await createBlockMask(ctx, maskMod, {
      shape: [2, HEADS, base.tokensQ, KEYS],
      blockQ: 32,
      blockK: 16,
    });
    await expectRun(`${name}, block mask`, { ...base, options: { maskMod, blockMask }, reference });
    await expectRun(`${name}, tiled`, {
      ...base,
      options: { maskMod, blockMask },
      reference,
      configuration: TILED,
    });
    const states = await readBlockMask(ctx, blockMask);
    if (!states.some((state) => state > 0)) throw new Error(`${name}: an empty block mask`);
    blockMask.buffer.destroy();
  }

  const rows = [3, 0, 7, 39, ...new Array(37).fill(0), 0, ...new Array(40).fill(0)];
  const queryRows = wordBuffer(ctx, rows);
  await expectRun("listed rows", {
    tokensQ: 40,
    tokensK: 40,
    options: { causal: true, queryRows },
    reference: { causal: true },
    untouched: (_b, h, i) => h === 1 || ![0, 7, 39].includes(i),
  });
  queryRows.destroy();
  const offsets = [0, 13, 40];
  await expectRun("packed sequences", {
    tokensQ: 40,
    tokensK: 40,
    options: { causal: true, queryOffsets: offsets, keyOffsets: offsets },
    reference: { causal: true, maskMod: (_b, _h, i, j) => i < 13 === j < 13 },
  });

  // More keys than llvmpipe's rounds of a loop let a tile have: only the last quarter counts.
  const many = 40_000;
  const [query, keys] = [ctx.empty([1, 16, 1, 64]), ctx.empty([1, many, 1, 64])];
  const values = ctx.fromArray(new Float32Array(64 * many).fill(1, 48 * many), [1, many, 1, 64]);
  const { out } = await softmaxAttention(ctx, query, keys, values);
  const share = (await ctx.read(out))[5]!;
  await attempt(`${many} keys: ${share} instead of a quarter`, async () =>
    beyond(Math.abs(share - 0.25), 1e-4),
  );
  for (const { buffer } of [query, keys, values, out]) buffer.destroy();

  const layout = { dtype: "f32", shape: [1, 20, 2, 8] } as const;
  const wrong = { wgsl: "let a = score;\nreturn a + nothing;" };
  const message = await planSoftmaxAttention(ctx, { q: layout, k: layout, v: layout, scoreMod: wrong }).then(
    () => "it compiled",
    (error) => String(error),
  );
  await attempt("a mod that does not compile", async () =>
    /scoreMod\.wgsl, line 2, column 12/.test(message) ? undefined : message,
  );
}
