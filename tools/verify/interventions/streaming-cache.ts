import type { TensorView } from "webgpu-attention";
import { keepSlots, keptSlots } from "webgpu-attention/hooks";
import { softmaxAttention } from "webgpu-attention/softmax";
import type { Mechanism } from "../mechanism.js";
import { numbersOf, requireTensor } from "../verify-case.js";

/** For whole numbers. */
const EXACT = 1e-9;

/** One token after another: what the cache keeps, and attention over it with rotary positions counted in the cache. */
export const runStreamingCache: Mechanism = async (ctx, testCase, buffers) => {
  const {
    start,
    recent,
    rope_base: theta,
  } = testCase.params as Record<"start" | "recent" | "rope_base", number>;
  const [, heads, steps, dim] = requireTensor(testCase, "input.q").shape as [number, number, number, number];
  /** Tokens of a [1, H, N, D] tensor, as [1, tokens, H, D]. */
  const pick = (name: string, tokens: readonly number[]): TensorView => {
    const data = numbersOf(requireTensor(testCase, `input.${name}`));
    const values = tokens.flatMap((token) =>
      Array.from({ length: heads * dim }, (_, index) => {
        const [head, d] = [Math.floor(index / dim), index % dim];
        return data[(head * steps + token) * dim + d]!;
      }),
    );
    return { buffer: buffers.upload(values), dtype: "f32", shape: [1, tokens.length, heads, dim] };
  };
  const slots = requireTensor(testCase, "expect.kept").shape[1]!;
  const [kept, lengths, out]: [number[], number[], number[]] = [[], [], []];
  let cached: number[] = [];
  for (let step = 0; step < steps; step++) {
    cached = [...keepSlots(cached, keptSlots(cached.length, 1, { firstKeys: start, window: recent })), step];
    kept.push(...cached, ...Array<number>(slots - cached.length).fill(-1));
    lengths.push(cached.length);
    const view: TensorView = {
      buffer: buffers.nan(heads * dim),
      dtype: "f32",
      shape: [1, 1, heads, dim],
    };
    const [k, v] = [pick("k", cached), pick("v", cached)];
    await softmaxAttention(ctx, pick("q", [step]), k, v, { causal: true, rope: { theta }, out: view });
    out.push(...(await ctx.read(view)));
  }
  const expected = (name: string) => numbersOf(requireTensor(testCase, name));
  return [
    { name: "expect.kept", actual: kept, expected: expected("expect.kept"), tolerance: EXACT },
    { name: "expect.length", actual: lengths, expected: expected("expect.length"), tolerance: EXACT },
    { name: "expect.out64", actual: out, expected: expected("expect.out64"), tolerance: 1e-5 },
  ];
};
