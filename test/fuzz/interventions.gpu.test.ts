/** Random problems with random operations on each head of each batch entry; FUZZ_SEED and FUZZ_RUNS as in softmax's. */
import fc from "fast-check";
import { expect } from "vitest";
import type { HeadOperation } from "../../src/hooks/index.js";
import { stagesOf } from "../../src/hooks/intervention/stages.js";
import { type InterventionRun, runIntervention } from "../support/intervention-run.js";
import { normalArray, randomSource } from "../support/random.js";
import { fuzz } from "./fuzz.js";
import { integer } from "./placement-arbitrary.js";

const strength = fc.constantFrom(0, 0.15, 0.4, 0.75, 1);
const mix: fc.Arbitrary<HeadOperation> = fc.oneof(
  fc.record({
    kind: fc.constant("mix" as const),
    target: fc.constantFrom("identity" as const, "uniform", "meanQuery", "argmax", "zero"),
    u: strength,
  }),
  fc.record({
    kind: fc.constant("mix" as const),
    target: fc.constant("identity" as const),
    u: strength,
    path: fc.constantFrom("fisherRao" as const, "slerp", "logLinear"),
  }),
);
const gain = fc.record({ kind: fc.constant("gain" as const), output: fc.constantFrom(0, 0.5, 1.25) });
const scale = fc.record({ kind: fc.constant("scale" as const), logits: fc.constantFrom(0, 0.5, 1.5, -0.75) });
/** Sinks by their indices: whether a mean is above a threshold may depend on rounding. */
const shift: fc.Arbitrary<HeadOperation> = fc
  .record({ first: integer(0, 3), step: integer(1, 5), keep: fc.constantFrom(0, 0.4, 1) })
  .map(({ first, step, keep }) => ({
    kind: "shift",
    sinks: { keys: [first, first + step] },
    keep,
    recipients: "nonsinks",
  }));

/** Operations that have an exact form one after another. */
const operations = fc
  .tuple(fc.array(scale, { maxLength: 1 }), fc.array(fc.oneof(mix, mix, gain, shift), { maxLength: 4 }))
  .map(([scales, others]): HeadOperation[] => [...scales, ...others])
  .filter((listed) => {
    try {
      stagesOf(new Map([[0, listed]]));
      return (
        listed.findIndex((operation) => operation.kind === "mix" && operation.path === "logLinear") < 1 ||
        isFirst(listed)
      );
    } catch {
      return false;
    }
  });

/** Whether a log-linear path comes before all other operations on weights, those aside that change nothing. */
function isFirst(listed: readonly HeadOperation[]): boolean {
  const onWeights = listed.filter(
    (operation) => operation.kind !== "scale" && !(operation.kind === "mix" && operation.u === 0),
  );
  return onWeights.every(
    (operation, n) => n === 0 || operation.kind !== "mix" || operation.path !== "logLinear",
  );
}

const problem = fc
  .record({
    batches: integer(1, 2),
    tokensQ: fc.oneof(integer(1, 3), integer(4, 40)),
    more: fc.constantFrom(0, 0, 5),
    kvHeads: integer(1, 2),
    group: integer(1, 2),
    headDim: fc.constantFrom(4, 7, 16),
    valueDim: fc.constantFrom(4, 5, 16),
    dtype: fc.constantFrom<"f32" | "f16">("f32", "f32", "f16"),
    causal: fc.boolean(),
    left: fc.option(integer(0, 9), { nil: undefined }),
    hasSinks: fc.boolean(),
    masked: fc.boolean(),
    hasBias: fc.boolean(),
    seed: integer(0, 999),
    chains: fc.array(operations, { minLength: 8, maxLength: 8 }),
  })
  .map(({ more, group, causal, left, hasSinks, masked, hasBias, chains, ...sizes }): InterventionRun => {
    const heads = sizes.kvHeads * group;
    const tokensK = sizes.tokensQ + more;
    const random = randomSource(sizes.seed + 1);
    return {
      ...{ ...sizes, heads, tokensK },
      options: {
        causal,
        ...(left !== undefined && { window: { left } }),
        ...(hasSinks && { sinkLogits: normalArray(heads, random) }),
        ...(masked && {
          keyMask: Array.from({ length: sizes.batches * tokensK }, () => (random() < 0.8 ? 1 : 0)),
        }),
      },
      ...(hasBias && {
        bias: { shape: [1, sizes.tokensQ, 1, tokensK], data: normalArray(sizes.tokensQ * tokensK, random) },
      }),
      operations: Array.from(
        { length: sizes.batches },
        (_, b) => new Map(Array.from({ length: heads }, (_, head) => [head, chains[b * heads + head]!])),
      ),
    };
  });

fuzz(
  "operations on heads agree with the float64 reference",
  problem,
  { runs: 10, secondsPerRun: 8 },
  async (ctx, run) => {
    const { out, outTolerance, lse } = await runIntervention(ctx, run);
    expect(out).toBeLessThanOrEqual(outTolerance);
    expect(lse).toBeLessThanOrEqual(1e-5);
  },
);
