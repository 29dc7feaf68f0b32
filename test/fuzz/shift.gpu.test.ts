/** Random problems of softmax attention with random shifts on their heads, after it or within it; FUZZ_SEED and FUZZ_RUNS as in softmax's. */
import fc from "fast-check";
import type { KeySet, KeyShift } from "../../kernels/_calibration/shift/types.js";
import { runShift, type ShiftCase } from "../support/shift-run.js";
import { fuzz } from "./fuzz.js";
import { integer } from "./placement-arbitrary.js";
import { fuzzCase } from "./softmax-arbitrary.js";

const keys = fc.array(integer(0, 60), { maxLength: 6 });
const range = fc
  .tuple(integer(0, 40), integer(0, 40))
  .map(([begin, length]): KeySet => ({ range: [begin, begin + length] }));
const set: fc.Arbitrary<KeySet> = fc.oneof(range, fc.record({ keys }));
const rows = fc.oneof(
  fc.constantFrom("all" as const, "last" as const),
  fc.record({ from: integer(-10, 40) }),
);
/** Sinks are given, or huge: whether a mean is above a threshold may depend on rounding. */
const sinks = fc.oneof(fc.record({ keys }), fc.constant({ hidden: { dims: [4, 1], tau: 5 } }));
const shared = { sinks, keep: fc.constantFrom(0, 0.4, 0.75, 1), protect: keys, rows };

/** Everything receives, or any sets. */
const anyShift: fc.Arbitrary<KeyShift> = fc.record(
  {
    ...shared,
    recipients: fc.oneof(fc.constant("nonsinks" as const), set),
    gate: fc.record(
      {
        mass: fc.tuple(set, fc.constantFrom(0, 0.21)),
        ratio: fc.tuple(set, set, fc.constantFrom(0, 0.53)),
        portion: fc.tuple(set, fc.constantFrom(0.22, 1)),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: ["sinks", "keep", "recipients"] },
);

/** One range is all that is named, as redistribution has it. */
const ofRange = (recipients: KeySet): fc.Arbitrary<KeyShift> =>
  fc.record(
    {
      ...shared,
      recipients: fc.constant(recipients),
      gate: fc.record(
        {
          mass: fc.tuple(fc.constant(recipients), fc.constantFrom(0, 0.21)),
          ratio: fc.tuple(fc.constant(recipients), fc.constant(recipients), fc.constantFrom(0, 0.53)),
          portion: fc.tuple(fc.constant(recipients), fc.constantFrom(0.22, 1)),
        },
        { requiredKeys: [] },
      ),
    },
    { requiredKeys: ["sinks", "keep", "recipients"] },
  );

const heads = (shift: fc.Arbitrary<KeyShift>) =>
  fc
    .array(fc.option(shift, { nil: undefined, freq: 4 }), { minLength: 12, maxLength: 12 })
    .map((listed) => new Map(listed.flatMap((own, head) => (own ? [[head, own] as const] : []))));

/** Scores that are not all zero, so that weights differ; the heads that the problem has. */
const shiftCase = fc
  .record({
    fuzzed: fuzzCase,
    chosen: fc.oneof(
      heads(anyShift),
      range.chain((own) => heads(ofRange(own))),
    ),
    huge: keys,
    seed: integer(1, 999),
  })
  .map(({ fuzzed: { problem, placements, buffers }, chosen, huge, seed }): ShiftCase => {
    const known = huge.filter((key) => key < problem.tokensK);
    return {
      name: "fuzz",
      problem: { ...problem, tokensK: Math.min(problem.tokensK, 90) },
      heads: new Map([...chosen].filter(([head]) => head < problem.heads)),
      hidden: { channels: 48, huge: known.filter((key) => key < 90) },
      ...{ seed, placements, buffers },
    };
  })
  .filter(
    ({ problem: { options, tokensK } }) =>
      fits(options.keyLengths, tokensK) && fits(options.keyStarts, tokensK),
  );

function fits(counts: readonly number[] | undefined, tokensK: number): boolean {
  return !counts || counts.every((count) => count <= tokensK);
}

for (const how of ["after", "within"] as const) {
  fuzz(
    `shifts ${how} attention agree with the reference`,
    shiftCase,
    { runs: 8, secondsPerRun: 10 },
    async (ctx, run) => {
      const { out, tolerance, changedWithoutSinks } = await runShift(ctx, run, how);
      if (!(out <= tolerance)) throw new Error(`out: error ${out}, allowed ${tolerance}`);
      if (changedWithoutSinks > 0)
        throw new Error(`${changedWithoutSinks} rows of heads without sinks changed`);
    },
  );
}
