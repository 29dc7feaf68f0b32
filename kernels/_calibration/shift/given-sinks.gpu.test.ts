import { expect, it } from "vitest";
import { testContext } from "../../../test/support/gpu.js";
import { normalArray, randomSource } from "../../../test/support/random.js";
import { planAttentionShift } from "./index.js";
import { sinkListWords } from "./problem.js";

const TOKENS = 40;
const shape = [1, TOKENS, 1, 8] as const;

/** Lists of one head: how many sinks, their keys, a bit a key. */
function sinkWords(sinks: readonly number[], room: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(sinkListWords(room));
  words.set([sinks.length, ...sinks]);
  for (const key of sinks) words[1 + room + (key >> 5)]! |= 1 << (key & 31);
  return words;
}

it.each([64, TOKENS, 30])(
  "sinks of a plan with room for %d keys are taken as far as keys go",
  async (room) => {
    const ctx = await testContext();
    const words = sinkWords(
      [2, 29, 45, 60].filter((key) => key < room),
      room,
    );
    const buffer = ctx.device.createBuffer({
      size: words.byteLength,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
    });
    ctx.device.queue.writeBuffer(buffer, 0, words);
    const make = () => ctx.fromArray(normalArray(TOKENS * 8, randomSource(1)), shape);
    const tensors = { q: make(), k: make(), v: make(), out: make(), lse: ctx.empty([1, TOKENS, 1, 1]) };
    const shift = { sinks: { keys: [0] }, keep: 0.4, recipients: "nonsinks" } as const;
    const plan = await planAttentionShift(ctx, {
      ...{ ...tensors, heads: new Map([[0, shift]]) },
      sinks: { buffer, keys: room },
    });
    await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
    const layout = { dtype: "f32", shape: [1, 1, 1, sinkListWords(TOKENS)] } as const;
    const found = new Uint32Array((await ctx.read({ ...layout, buffer: plan.sinks.buffer })).buffer);
    const wanted = sinkWords([2, 29], TOKENS);
    expect([...found.subarray(0, 3)]).toEqual([...wanted.subarray(0, 3)]);
    expect([...found.subarray(1 + TOKENS)]).toEqual([...wanted.subarray(1 + TOKENS)]);
    plan.destroy();
    for (const own of [buffer, ...Object.values(tensors).map((view) => view.buffer)]) own.destroy();
  },
);
