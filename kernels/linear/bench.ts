import type { AttentionContext } from "../../src/dispatch/context.js";
import { elementCount, type Shape4, type TensorView } from "../../src/dispatch/tensor-view.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import type { BenchEntry, MechanismBench } from "../_bench/mechanism-bench.js";
import { type Expected, planEntry, recorded } from "../_bench/plan-entry.js";
import { softmaxEntry } from "../_bench/softmax-entry.js";
import {
  alibiSlopes,
  planLinearAttention,
  planLinearAttentionBackward,
  planPrefixSoftmaxAttention,
} from "./index.js";
import { prefixSoftmaxReference } from "./prefix/reference.js";
import { linearAttentionGradientReference, linearAttentionReference } from "./reference.js";

const DIM = 64;
const TOLERANCE = 1e-5;
const BACKWARD_TOLERANCE = 2e-5;
const SCALED = [1024, 4096, 16_384, 65_536];

/** From 8,192 tokens on one head is enough to keep a device busy; shorter sequences have eight. */
const headsOf = (tokens: number) => (tokens < 8192 ? 8 : 1);
const sizeName = (tokens: number, heads: number) => `${tokens} tokens, ${heads} head${heads > 1 ? "s" : ""}`;

interface Dense {
  readonly data: Float32Array<ArrayBuffer>;
  readonly shape: Shape4;
}

function makeInputs(tokens: number, heads: number, count: number): Dense[] {
  const random = randomSource(1);
  const shape: Shape4 = [1, tokens, heads, DIM];
  return Array.from({ length: count }, () => ({ shape, data: normalArray(elementCount(shape), random) }));
}

function whole(view: TensorView, values: ArrayLike<number>): Expected {
  return { view, values, places: Array.from({ length: values.length }, (_, place) => place) };
}

const upload = (ctx: AttentionContext, { data, shape }: Dense) => ctx.fromArray(data, shape);

function forward(name: string, tokens: number, heads: number, causal = true): BenchEntry {
  return {
    name,
    rows: tokens * heads,
    async prepare(ctx) {
      const [q, k, v] = makeInputs(tokens, heads, 3) as [Dense, Dense, Dense];
      const tensors = { q: upload(ctx, q), k: upload(ctx, k), v: upload(ctx, v), out: ctx.empty(q.shape) };
      const options = { causal, ...(causal && { decay: alibiSlopes(heads) }) };
      const plan = await planLinearAttention(ctx, { ...tensors, ...options });
      const expected = () => [whole(tensors.out, linearAttentionReference({ q, k, v, ...options }).out)];
      const buffers = Object.values(tensors).map(({ buffer }) => buffer);
      return planEntry(ctx, [recorded(plan, tensors)], [tensors.out], expected, TOLERANCE, buffers);
    },
  };
}

function forwardAndBackward(tokens: number): BenchEntry {
  const heads = headsOf(tokens);
  return {
    name: sizeName(tokens, heads),
    rows: tokens * heads,
    async prepare(ctx) {
      const [q, k, v, dOut] = makeInputs(tokens, heads, 4) as [Dense, Dense, Dense, Dense];
      const inputs = { q: upload(ctx, q), k: upload(ctx, k), v: upload(ctx, v) };
      const out = ctx.empty(q.shape);
      const gradients = { dq: ctx.empty(q.shape), dk: ctx.empty(q.shape), dv: ctx.empty(q.shape) };
      const decay = alibiSlopes(heads);
      const there = { ...inputs, out };
      const back = { ...inputs, dOut: upload(ctx, dOut), ...gradients };
      const plans = [
        recorded(await planLinearAttention(ctx, { ...there, decay }), there),
        recorded(await planLinearAttentionBackward(ctx, { ...back, decay }), back),
      ];
      const expected = () => {
        const { dq, dk, dv } = linearAttentionGradientReference({ q, k, v, dOut, decay });
        return [
          whole(out, linearAttentionReference({ q, k, v, decay }).out),
          whole(gradients.dq, dq),
          whole(gradients.dk, dk),
          whole(gradients.dv, dv),
        ];
      };
      const outputs = [out, ...Object.values(gradients)];
      const buffers = [...Object.values(back), out].map(({ buffer }) => buffer);
      return planEntry(ctx, plans, outputs, expected, BACKWARD_TOLERANCE, buffers);
    },
  };
}

/** One token at a position, with the state that the tokens before it left. */
function step(position: number, heads: number): BenchEntry {
  return {
    name: `a token at position ${position}`,
    rows: heads,
    async prepare(ctx) {
      const [q, k, v] = makeInputs(position + 1, heads, 3) as [Dense, Dense, Dense];
      const options = { decay: alibiSlopes(heads) };
      const before: Shape4 = [1, position, heads, DIM];
      const width = heads * DIM;
      const first = ({ data }: Dense) => ({ data: data.subarray(0, position * width), shape: before });
      const last = ({ data }: Dense) => ctx.fromArray(data.subarray(position * width), [1, 1, heads, DIM]);
      const { s } = linearAttentionReference({ q: first(q), k: first(k), v: first(v), ...options });
      const stateShape: Shape4 = [1, heads, DIM, DIM];
      const tensors = {
        q: last(q),
        k: last(k),
        v: last(v),
        out: ctx.empty([1, 1, heads, DIM]),
        state: { s: ctx.fromArray(Float32Array.from(s), stateShape) },
        stateOut: { s: ctx.empty(stateShape) },
      };
      const plan = await planLinearAttention(ctx, { ...tensors, ...options });
      const expected = () => {
        const { out, s: after } = linearAttentionReference({ q, k, v, ...options });
        return [whole(tensors.out, out.subarray(position * width)), whole(tensors.stateOut.s, after)];
      };
      const outputs = [tensors.out, tensors.stateOut.s];
      const buffers = [tensors.q, tensors.k, tensors.v, tensors.state.s, ...outputs].map(
        ({ buffer }) => buffer,
      );
      return planEntry(ctx, [recorded(plan, tensors)], outputs, expected, TOLERANCE, buffers);
    },
  };
}

function prefixSoftmax(name: string, tokens: number, heads: number): BenchEntry {
  return {
    name,
    rows: tokens * heads,
    async prepare(ctx) {
      const [q, k, v] = makeInputs(tokens, heads, 3) as [Dense, Dense, Dense];
      const tensors = { q: upload(ctx, q), k: upload(ctx, k), v: upload(ctx, v), out: ctx.empty(q.shape) };
      const plan = await planPrefixSoftmaxAttention(ctx, tensors);
      const expected = () => [whole(tensors.out, prefixSoftmaxReference({ q, k, v }))];
      const buffers = Object.values(tensors).map(({ buffer }) => buffer);
      return planEntry(ctx, [recorded(plan, tensors)], [tensors.out], expected, TOLERANCE, buffers);
    },
  };
}

/** Linear attention with D = Dv = 64: constant time per row, and against softmax attention of the same shape. */
export default {
  rows: [
    {
      name: "causal with decay",
      compare: "time per row",
      entries: SCALED.map((tokens) => forward(sizeName(tokens, headsOf(tokens)), tokens, headsOf(tokens))),
    },
    {
      name: "forward and backward",
      compare: "time per row",
      entries: SCALED.map(forwardAndBackward),
    },
    {
      name: "decode, 8 heads",
      compare: "time per row",
      entries: [step(100, 8), step(60_000, 8)],
    },
    {
      name: "prefix softmax",
      compare: "time per row",
      entries: [1024, 4096].map((tokens) => prefixSoftmax(sizeName(tokens, 8), tokens, 8)),
    },
    {
      name: "1024 tokens, 8 heads",
      compare: "speedup",
      entries: [
        softmaxEntry(1024, 8, DIM, true),
        forward("linear, causal", 1024, 8),
        prefixSoftmax("prefix softmax", 1024, 8),
      ],
    },
    {
      name: "1024 tokens, 8 heads, not causal",
      compare: "speedup",
      entries: [softmaxEntry(1024, 8, DIM, false), forward("linear, all to all", 1024, 8, false)],
    },
    {
      name: "16384 tokens, 1 head",
      compare: "speedup",
      entries: [softmaxEntry(16_384, 1, DIM, true), forward("linear, causal", 16_384, 1)],
    },
  ],
} satisfies MechanismBench;
