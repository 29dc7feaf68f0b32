import fc from "fast-check";
import type { CaseOptions, SoftmaxCase } from "../../kernels/softmax/cases.js";
import type { Placement } from "../support/placement.js";

/** A case, and everything beside it that must not change its result. */
export interface FuzzCase {
  readonly problem: SoftmaxCase;
  readonly placements: Readonly<Record<"q" | "k" | "v" | "out" | "lse" | "bias", Placement>>;
  /** Kernel of the prefill; `rows` and `rows with subgroups` are run rolled, which compiles faster. */
  readonly kernel: "shared" | "staged" | "registers" | "registers with subgroups";
  /** Whether per-batch and per-head options are given as GPU buffers. */
  readonly buffers: boolean;
  readonly dataSeed: number;
}

/** Absent three times in four: with all options present each time, few keys would ever be visible. */
export const seldom = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> =>
  fc.oneof(
    { withCrossShrink: true },
    { weight: 3, arbitrary: fc.constant(undefined) },
    { weight: 1, arbitrary },
  );

/** A share of the keys for each batch entry; sizes are known only later, and dependent draws would shrink badly. */
const shares = fc.array(fc.integer({ min: 0, max: 100 }), { minLength: 3, maxLength: 3 });

const sizes = fc.record({
  batches: fc.integer({ min: 1, max: 3 }),
  tokensQ: fc.oneof(fc.integer({ min: 1, max: 8 }), fc.integer({ min: 9, max: 70 })),
  // Beyond 256 keys decoding is split.
  tokensK: fc.oneof(
    { weight: 3, arbitrary: fc.integer({ min: 1, max: 90 }) },
    { weight: 1, arbitrary: fc.integer({ min: 257, max: 600 }) },
  ),
  kvHeads: fc.integer({ min: 1, max: 3 }),
  group: fc.integer({ min: 1, max: 4 }),
  headDim: fc.constantFrom(4, 1, 15, 16, 40),
  valueDim: fc.constantFrom(4, 3, 16, 33),
  dtype: fc.constantFrom("f32", "f16"),
  kvDtype: fc.constantFrom("f32", "f16"),
});

const options = fc.record({
  causal: seldom(fc.boolean()),
  queryOffset: seldom(fc.oneof(fc.integer({ min: -30, max: 120 }), fc.constant("end" as const))),
  window: seldom(
    fc.record(
      { left: fc.integer({ min: 0, max: 40 }), right: fc.integer({ min: 0, max: 40 }) },
      { requiredKeys: [] },
    ),
  ),
  scale: seldom(fc.constantFrom(0, 1, -0.5, 0.3)),
  softcap: seldom(fc.constantFrom(0.5, 2, 30)),
  alibiSlopes: seldom(fc.constant(true)),
  bias: seldom(fc.tuple(fc.boolean(), fc.boolean(), fc.boolean(), fc.boolean())),
  keyStarts: seldom(shares),
  keyLengths: seldom(shares),
  keyMask: seldom(fc.constantFrom("random", "blocks", "none")),
  sinkLogits: seldom(fc.constant(true)),
  rope: seldom(
    fc.record(
      {
        pairs: fc.integer({ min: 1, max: 20 }),
        interleaved: fc.boolean(),
        theta: fc.constantFrom(10_000, 500),
        frequencies: fc.boolean(),
      },
      { requiredKeys: ["pairs"] },
    ),
  ),
});

const problem: fc.Arbitrary<SoftmaxCase> = fc
  .record({ sizes, options })
  .map(({ sizes: { group, ...size }, options: { keyStarts, keyLengths, rope, ...plain } }) => {
    const keysOf = (given: number[] | undefined) =>
      given?.slice(0, size.batches).map((share) => Math.floor((share / 100) * size.tokensK));
    const chosen = {
      ...plain,
      keyStarts: keysOf(keyStarts)?.map((key) => Math.floor(key / 2)),
      keyLengths: keysOf(keyLengths),
      rope: size.headDim > 1 ? rope && rotary(rope, size.headDim) : undefined,
    };
    const present = Object.entries(chosen).filter(([, value]) => value !== undefined);
    return {
      name: "fuzz",
      ...size,
      heads: group * size.kvHeads,
      options: Object.fromEntries(present) as CaseOptions,
    };
  });

function rotary(
  given: { pairs: number; interleaved?: boolean; theta?: number; frequencies?: boolean },
  headDim: number,
): NonNullable<CaseOptions["rope"]> {
  const { pairs, frequencies, ...rest } = given;
  const used = Math.min(pairs, Math.floor(headDim / 2));
  return {
    ...rest,
    dim: 2 * used,
    ...(frequencies && { frequencies: Array.from({ length: used }, (_, pair) => 1 / (1 + pair)) }),
  };
}

/** Dense; or rows of four that kernels may load whole; or anything. */
const placements = fc.constantFrom<"dense" | "aligned" | "any">("dense", "aligned", "any").chain((kind) => {
  const unit = kind === "aligned" ? 4 : 1;
  const free = fc
    .integer({ min: 0, max: kind === "dense" ? 0 : kind === "aligned" ? 2 : 7 })
    .map((n) => n * unit);
  const order =
    kind === "dense"
      ? fc.constant([0, 1, 2, 3])
      : kind === "aligned"
        ? fc.shuffledSubarray([0, 1, 2], { minLength: 3 }).map((axes) => [...axes, 3])
        : fc.shuffledSubarray([0, 1, 2, 3], { minLength: 4 });
  const placement: fc.Arbitrary<Placement> = fc.record({
    order,
    padding: fc.tuple(free, free, free, free),
    offset: kind === "dense" ? fc.constant(0) : fc.integer({ min: 0, max: 200 }).map((n) => n * unit),
  });
  return fc.record({
    q: placement,
    k: placement,
    v: placement,
    out: placement,
    lse: placement,
    bias: placement,
  });
});

export const fuzzCase: fc.Arbitrary<FuzzCase> = fc.record({
  problem,
  placements,
  kernel: fc.constantFrom("shared", "staged", "registers", "registers with subgroups"),
  buffers: fc.boolean(),
  dataSeed: fc.nat(1000),
});
