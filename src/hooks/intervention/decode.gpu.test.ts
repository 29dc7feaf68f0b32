import { describe, expect, it } from "vitest";
import { difference } from "../../../test/support/compare.js";
import { testContext } from "../../../test/support/gpu.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import type { TensorView } from "../../index.js";
import { attentionMap } from "../reference/attention-map.js";
import { calibratedDecode } from "../reference/decode.js";
import { headRows } from "../reference/dense-tensor.js";
import { attentionCalibration } from "../sink-calibration/shift-operations.js";
import { planIntervenedAttention } from "./intervened-attention.js";

const [TOKENS, PREFILL, HEADS, DIM] = [18, 12, 2, 8];
/** A cache has room for more. */
const ROOM = 21;

const random = randomSource(6);
const made = (tokens: number) => normalArray(tokens * HEADS * DIM, random);
// Key 3 draws attention from all queries.
const q = made(TOKENS).map((x, n) => (n % DIM === 0 ? x + 2 : x));
const k = made(ROOM).map((x, n) => (Math.floor(n / (HEADS * DIM)) === 3 && n % DIM === 0 ? x + 2 : x));
const v = made(ROOM);

describe("calibration while decoding", () => {
  it.each([
    ["prefill", "of the prefill, given", true],
    ["running", "beside those of the prefill", true],
    // Which key is the newest is told by positions: the cache has room behind it.
    ["running", "without others, in a cache of fixed size", false],
  ] as const)("agrees with the float64 reference: update %s, sinks %s", async (update, _, hasLengths) => {
    const ctx = await testContext();
    const operation = attentionCalibration({ theta: 0.12, update });
    const heads = new Map(Array.from({ length: HEADS }, (_, head) => [head, operation] as const));
    const shape = (tokens: number) => [1, tokens, HEADS, DIM] as const;
    const queries = ctx.fromArray(q, shape(TOKENS));
    const cache = { k: ctx.fromArray(k, shape(ROOM)), v: ctx.fromArray(v, shape(ROOM)) };
    const sums = Array.from({ length: 4 }, () => perHead(ctx.empty([1, ROOM, HEADS, 1])));
    const rowsOf = (first: number, count: number): TensorView => ({
      ...{ ...queries, shape: shape(count), offset: first * HEADS * DIM },
      strides: [TOKENS * HEADS * DIM, HEADS * DIM, DIM, 1],
    });
    const isRunning = update === "running";
    const given = { ...cache, causal: true, heads };
    const keysUpTo = (length: number, tokens: number) =>
      hasLengths ? { keyLengths: [length], queryOffset: "end" as const } : { queryOffset: length - tokens };

    const first = { q: rowsOf(0, PREFILL), ...cache, out: ctx.empty(shape(PREFILL)) };
    const prefill = await planIntervenedAttention(ctx, {
      ...{ ...given, q: first.q, ...keysUpTo(PREFILL, PREFILL), receivedSums: isRunning },
    });
    const written = isRunning && { receivedSum: sums[0]!, receivedCount: sums[1]! };
    await ctx.submitChecked((encoder) => prefill.record(encoder, { ...first, ...written }));

    const outputs: Float32Array[] = [];
    for (let step = 0; step < TOKENS - PREFILL; step++) {
      const [from, to] =
        step % 2 === 0 ? [sums.slice(0, 2), sums.slice(2)] : [sums.slice(2), sums.slice(0, 2)];
      const tensors = { q: rowsOf(PREFILL + step, 1), ...cache, out: ctx.empty(shape(1)) };
      const carried = isRunning && {
        ...{ carriedSum: from[0]!, carriedCount: from[1]! },
        ...{ receivedSum: to[0]!, receivedCount: to[1]! },
      };
      const plan = await planIntervenedAttention(ctx, {
        ...{ ...given, q: tensors.q, ...keysUpTo(PREFILL + step + 1, 1) },
        ...(hasLengths && { sinks: prefill.sinks! }),
        ...(isRunning && { carried: true, receivedSums: true }),
      });
      await ctx.submitChecked((encoder) => plan.record(encoder, { ...tensors, ...carried }));
      outputs.push(await ctx.read(tensors.out));
      plan.destroy();
    }
    prefill.destroy();

    const whole = (data: Float32Array) => ({
      data: data.subarray(0, TOKENS * HEADS * DIM),
      shape: shape(TOKENS),
    });
    for (let h = 0; h < HEADS; h++) {
      const map = attentionMap({ q: whole(q), k: whole(k), causal: true }, 0, h);
      const steps = calibratedDecode(map, headRows(whole(v), 0, h), PREFILL, operation as never);
      expect(steps.some(({ sinks }) => sinks.includes(3))).toBe(true);
      // Most of the newest key's weight is its own query's: it would be a sink.
      expect(steps.some(({ received }) => received.at(-1)! > 0.12)).toBe(true);
      for (const [n, { out }] of steps.entries())
        expect(difference(outputs[n]!.subarray(h * DIM, (h + 1) * DIM), out).maxAbsolute).toBeLessThan(1e-5);
    }
  });
});

/** Each head's keys side by side. */
function perHead(view: TensorView): TensorView {
  return { ...view, strides: [ROOM * HEADS, 1, ROOM, 1] };
}
