import { expect, it } from "vitest";
import type { AttentionContext, TensorView } from "../../../src/index.js";
import { testContext } from "../../../test/support/gpu.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import { planAttentionShift } from "./index.js";
import { type AttentionShiftProblem, sinkListWords } from "./problem.js";
import type { KeyShift, SinkLists } from "./types.js";

const TOKENS = 40;
const shape = [1, TOKENS, 1, 8] as const;

/** Lists of one head: how many sinks, their keys, a bit a key. */
function sinkWords(sinks: readonly number[], room: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(sinkListWords(room));
  words.set([sinks.length, ...sinks]);
  for (const key of sinks) words[1 + room + (key >> 5)]! |= 1 << (key & 31);
  return words;
}

function attention(ctx: AttentionContext) {
  const make = () => ctx.fromArray(normalArray(TOKENS * 8, randomSource(1)), shape);
  return { q: make(), k: make(), v: make(), out: make(), lse: ctx.empty([1, TOKENS, 1, 1]) };
}

/** Sinks that a plan for one head finds: how many with their keys, and bits. */
async function foundSinks(
  ctx: AttentionContext,
  problem: Pick<AttentionShiftProblem, "hidden" | "keyLengths" | "sinks"> & { hidden?: TensorView },
  sinks: KeyShift["sinks"],
) {
  const tensors = attention(ctx);
  const heads = new Map([[0, { sinks, keep: 0.4, recipients: "nonsinks", protect: [] } as const]]);
  const plan = await planAttentionShift(ctx, { ...tensors, ...problem, heads });
  const { hidden } = problem;
  await ctx.submitChecked((encoder) => plan.record(encoder, { ...tensors, ...(hidden && { hidden }) }));
  const layout = { dtype: "f32", shape: [1, 1, 1, sinkListWords(TOKENS)] } as const;
  const read = await ctx.read({ ...layout, buffer: plan.sinks.buffer });
  const words = new Uint32Array(read.buffer, read.byteOffset, read.length);
  plan.destroy();
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  return { listed: words.subarray(0, 1 + words[0]!), bits: words.subarray(1 + TOKENS) };
}

function expected(sinks: readonly number[]) {
  const words = sinkWords(sinks, TOKENS);
  return { listed: words.subarray(0, 1 + sinks.length), bits: words.subarray(1 + TOKENS) };
}

function givenSinks(ctx: AttentionContext, sinks: readonly number[], room: number): SinkLists {
  const words = sinkWords(
    sinks.filter((key) => key < room),
    room,
  );
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
  const buffer = ctx.device.createBuffer({ size: words.byteLength, usage });
  ctx.device.queue.writeBuffer(buffer, 0, words);
  return { buffer, keys: room };
}

const RECEIVED = { received: "abs", theta: 0.1 } as const;

it.each([64, TOKENS, 30])(
  "sinks of a plan with room for %d keys are taken as far as keys go",
  async (room) => {
    const ctx = await testContext();
    const sinks = givenSinks(ctx, [2, 29, 45, 60], room);
    expect(await foundSinks(ctx, { sinks }, RECEIVED)).toEqual(expected([2, 29]));
    sinks.buffer.destroy();
  },
);

it("sinks with names are those that are named, whatever was found", async () => {
  const ctx = await testContext();
  const sinks = givenSinks(ctx, [2, 29], TOKENS);
  expect(await foundSinks(ctx, { sinks }, { keys: [7, 35] })).toEqual(expected([7, 35]));
  sinks.buffer.destroy();
});

it("nothing behind a sequence's keys is a sink, whatever its buffers hold", async () => {
  const ctx = await testContext();
  const states = normalArray(TOKENS * 16, randomSource(2));
  for (const key of [3, 19, 20, 33]) states[16 * key + 5] = 1000;
  const hidden = ctx.fromArray(states, [1, TOKENS, 1, 16]);
  const keyLengths = [20];
  const rule = { hidden: { dims: [5], tau: 3.9 } };
  expect(await foundSinks(ctx, { hidden }, rule)).toEqual(expected([3, 19, 20, 33]));
  expect(await foundSinks(ctx, { hidden, keyLengths }, rule)).toEqual(expected([3, 19]));
  const sinks = givenSinks(ctx, [2, 29], TOKENS);
  expect(await foundSinks(ctx, { sinks, keyLengths }, RECEIVED)).toEqual(expected([2]));
  for (const { buffer } of [hidden, sinks]) buffer.destroy();
});
