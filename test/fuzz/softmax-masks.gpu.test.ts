/**
 * Random masks with their block masks, listed rows and packed sequences, beside random other options, against the dense float64
 * reference. FUZZ_SEED and FUZZ_RUNS look elsewhere, as for `softmax.gpu.test.ts`.
 */
import fc from "fast-check";
import { createBlockMask, type MaskMod, type SoftmaxOptions } from "../../kernels/softmax/index.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { expectSoftmax } from "../support/expect-softmax.js";
import { randomSource } from "../support/random.js";
import { type SoftmaxRun, wordBuffer } from "../support/softmax-run.js";
import { fuzz } from "./fuzz.js";

/** Numbers of masks that leave whole blocks empty, whole and in part: stripes along a diagonal, each `period` wide. */
const stripes = fc.record({
  slope: fc.constantFrom(-1, 0, 1),
  period: fc.integer({ min: 1, max: 150 }),
  open: fc.integer({ min: 0, max: 150 }),
  byHead: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 })),
  byBatch: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 40 })),
});
type Stripes = typeof stripes extends fc.Arbitrary<infer T> ? T : never;

function mask({ slope, period, open, byHead, byBatch }: Stripes): {
  wgsl: MaskMod;
  sees: (b: number, h: number, i: number, j: number) => boolean;
} {
  const constants = { slope, period, open, by_head: byHead, by_batch: byBatch };
  const body = "let at = i32(j) + slope * i32(i) + i32(h) * by_head + i32(b) * by_batch + 1000 * period;";
  return {
    wgsl: { wgsl: `${body}\nreturn at % period < open;`, constants },
    sees: (b, h, i, j) => (j + slope * i + h * byHead + b * byBatch + 1000 * period) % period < open,
  };
}

const problem = fc.record({
  batches: fc.integer({ min: 1, max: 2 }),
  tokensQ: fc.integer({ min: 1, max: 140 }),
  tokensK: fc.integer({ min: 1, max: 160 }),
  kvHeads: fc.integer({ min: 1, max: 2 }),
  group: fc.integer({ min: 1, max: 2 }),
  headDim: fc.constantFrom(4, 7, 16, 20),
  dtype: fc.constantFrom("f32" as const, "f16" as const),
  causal: fc.boolean(),
  left: fc.option(fc.integer({ min: 0, max: 90 }), { nil: undefined }),
  softcap: fc.option(fc.constant(3), { nil: undefined }),
  sinks: fc.boolean(),
  queryOffset: fc.integer({ min: -20, max: 60 }),
  inBuffers: fc.boolean(),
  stripes,
  kind: fc.constantFrom("mask", "block mask", "listed rows", "packed sequences"),
  blockQ: fc.constantFrom(32, 64, 96),
  blockK: fc.constantFrom(16, 48, 64),
  data: fc.integer({ min: 1, max: 1000 }),
});
type Problem = typeof problem extends fc.Arbitrary<infer T> ? T : never;

async function check(ctx: AttentionContext, chosen: Problem): Promise<void> {
  const { batches, tokensQ, tokensK, kvHeads, group, headDim, dtype, causal, left, softcap, data } = chosen;
  const { sinks, queryOffset, inBuffers } = chosen;
  const { byHead, byBatch } = chosen.stripes;
  const sinkLogits = [0.5, -1, 2, 0].slice(0, chosen.kvHeads * chosen.group);
  const always = { ...(softcap && { softcap }), ...(sinks && { sinkLogits }) };
  const shared = { causal, queryOffset, ...(left !== undefined && { window: { left } }), ...always };
  const heads = kvHeads * group;
  const run: SoftmaxRun = { batches, tokensQ, tokensK, heads, kvHeads, headDim, dtype, seed: data };
  const { wgsl: maskMod, sees } = mask(chosen.stripes);
  const random = randomSource(data);
  const buffers: GPUBuffer[] = [];
  const kept = (buffer: GPUBuffer) => {
    buffers.push(buffer);
    return buffer;
  };
  try {
    if (chosen.kind === "packed sequences") {
      const cuts = (tokens: number) =>
        [0, ...[0, 0, 0].map(() => Math.floor(random() * (tokens + 1))), tokens].sort((a, b) => a - b);
      const [queries, keys] = [cuts(tokensQ), cuts(tokensK)];
      const sequence = (offsets: readonly number[], at: number) =>
        offsets.findIndex((_, s) => s < 4 && at >= offsets[s]! && at < offsets[s + 1]!);
      await expectSoftmax(ctx, {
        ...run,
        batches: 1,
        options: {
          ...always,
          causal,
          ...(left !== undefined && { window: { left } }),
          maskMod,
          queryOffsets: inBuffers ? kept(wordBuffer(ctx, queries)) : queries,
          keyOffsets: inBuffers ? kept(wordBuffer(ctx, keys)) : keys,
        },
        reference: {
          ...always,
          maskMod: (_b, h, i, j) => {
            const s = sequence(queries, i);
            const position = i - queries[s + 1]! + keys[s + 1]!;
            const visible = j >= keys[s]! && j < keys[s + 1]! && (!causal || j <= position);
            return visible && (left === undefined || j >= position - left) && sees(s, h, i, j);
          },
        },
      });
      return;
    }
    const options: Omit<SoftmaxOptions, "bias"> = { ...shared, maskMod };
    if (chosen.kind === "block mask") {
      const { blockQ, blockK } = chosen;
      // A mask that does not depend on them is shared by batch entries or heads.
      const shape = [byBatch === 0 ? 1 : batches, byHead === 0 ? 1 : heads, tokensQ, tokensK] as const;
      const blockMask = await createBlockMask(ctx, maskMod, { shape, blockQ, blockK, queryOffset });
      kept(blockMask.buffer);
      Object.assign(options, { blockMask });
    }
    const listed = Array.from({ length: batches * heads * tokensQ }, () => random() < 0.5);
    if (chosen.kind === "listed rows") {
      const words = Array.from({ length: batches * heads }, (_, n) => {
        const own = Array.from({ length: tokensQ }, (_, t) => t).filter((t) => listed[n * tokensQ + t]);
        return [own.length, ...own, ...new Array(tokensQ - own.length).fill(0)];
      }).flat();
      Object.assign(options, { queryRows: kept(wordBuffer(ctx, words)) });
    }
    await expectSoftmax(ctx, {
      ...run,
      options,
      reference: { ...shared, maskMod: sees },
      ...(chosen.kind === "listed rows" && {
        untouched: (b: number, h: number, i: number) => !listed[(b * heads + h) * tokensQ + i],
      }),
    });
  } finally {
    for (const buffer of buffers) buffer.destroy();
  }
}

fuzz(
  "masks, block masks, listed rows and packed sequences agree with the reference",
  problem,
  { runs: 24, secondsPerRun: 8 },
  check,
);
