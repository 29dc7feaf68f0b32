/** Random problems with random operations on each head of each batch entry; FUZZ_SEED and FUZZ_RUNS as in softmax's. */
import fc from "fast-check";
import { expect } from "vitest";
import type { HeadOperation } from "../../src/hooks/index.js";
import { stagesOf } from "../../src/hooks/intervention/stages.js";
import { type InterventionRun, runIntervention } from "../support/intervention-run.js";
import { normalArray, randomSource } from "../support/random.js";
import { fuzz } from "./fuzz.js";
import { integer, placement } from "./placement-arbitrary.js";
import { seldom } from "./softmax-arbitrary.js";

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

/** Parts of the keys, of both batch entries: how many there are is known only later. */
const shares = fc.tuple(integer(0, 100), integer(0, 100));

const options = fc.record({
  causal: fc.boolean(),
  queryOffset: seldom(fc.oneof(integer(-4, 30), fc.constant("end" as const))),
  left: seldom(integer(0, 9)),
  right: seldom(integer(0, 9)),
  softcap: seldom(fc.constantFrom(0.5, 3)),
  hasSlopes: seldom(fc.constant(true)),
  hasSinks: seldom(fc.constant(true)),
  masked: seldom(fc.constant(true)),
  starts: seldom(shares),
  lengths: seldom(shares),
  rope: seldom(fc.record({ dim: fc.constantFrom(2, 4), interleaved: fc.boolean(), theta: fc.constant(30) })),
  bias: seldom(fc.constantFrom<"finite" | "hides">("finite", "hides")),
});

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
    options,
    seed: integer(0, 999),
    buffers: fc.boolean(),
    placements: fc.record({
      ...{ q: placement, k: placement, v: placement, out: placement, lse: placement, bias: placement },
    }),
    chains: fc.array(operations, { minLength: 8, maxLength: 8 }),
  })
  .map(({ more, group, options, chains, ...sizes }): InterventionRun => {
    const { causal, left, right, hasSlopes, hasSinks, masked, starts, lengths, bias, ...plain } = options;
    const heads = sizes.kvHeads * group;
    const tokensK = sizes.tokensQ + more;
    const random = randomSource(sizes.seed + 1);
    const keysOf = (given: readonly number[], most: number) =>
      given.slice(0, sizes.batches).map((share) => Math.floor((share / 100) * most));
    const chosen = {
      ...{ causal, ...plain },
      ...((left !== undefined || right !== undefined) && {
        window: { ...(left !== undefined && { left }), ...(right !== undefined && { right }) },
      }),
      ...(hasSlopes && { alibiSlopes: Array.from({ length: heads }, (_, h) => 0.5 / (1 + h)) }),
      ...(hasSinks && { sinkLogits: normalArray(heads, random) }),
      ...(starts && { keyStarts: keysOf(starts, tokensK / 2) }),
      ...(lengths && { keyLengths: keysOf(lengths, tokensK) }),
      ...(masked && {
        keyMask: Array.from({ length: sizes.batches * tokensK }, () => (random() < 0.8 ? 1 : 0)),
      }),
    };
    return {
      ...{ ...sizes, heads, tokensK },
      options: Object.fromEntries(
        Object.entries(chosen).filter(([, value]) => value !== undefined),
      ) as InterventionRun["options"] & object,
      ...(bias && {
        bias: {
          shape: [1, sizes.tokensQ, 1, tokensK],
          data: normalArray(sizes.tokensQ * tokensK, random).map((x) =>
            bias === "hides" && x > 0.8 ? Number.NEGATIVE_INFINITY : x,
          ),
        },
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
