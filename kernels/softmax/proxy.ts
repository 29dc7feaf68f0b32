import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { SoftmaxCase } from "./cases.js";
import { attentionFlops, storageConditions } from "./pass-parts.js";
import type { SoftmaxShape } from "./problem.js";
import { DECODE_TOKENS, type Sizes } from "./sizes.js";

/** Numbers of all tensors of a proxy: they are made on the page's own thread, in a fraction of a second. */
export const MOST_ELEMENTS = 2 ** 22;

type Step = (now: Sizes) => Sizes | undefined;

/**
 * A smaller problem of the same class, for timing candidates: the same widths, types and terms, fewer batches, heads and
 * tokens, until one run takes some `flops` operations and its tensors can be made in a moment. Where it is small already it stays
 * as it is.
 *
 * For rows by the hundred, batches and heads go first, since they only repeat the same work; then tokens, queries and keys
 * alike, so that a causal mask keeps its share; last the heads that keep several cores busy. Decoding loses keys first: its
 * batches and heads are the parallelism that decides how finely keys are best cut.
 */
export function proxySizes(shape: SoftmaxShape, flops: number): Sizes {
  const { batches, tokensQ, tokensK, heads, kvHeads, headDim, valueDim, rotary } = shape;
  const whole = { batches, tokensQ, tokensK, heads, kvHeads, headDim, valueDim };
  const steps = tokensQ <= DECODE_TOKENS ? DECODE_STEPS : PREFILL_STEPS;
  let sizes: Sizes = { ...whole, ...(rotary && { rotary }) };
  for (const step of steps) {
    while (proxyFlops(shape, sizes) > flops || proxyElements(shape, sizes) > MOST_ELEMENTS) {
      const smaller = step(sizes);
      if (!smaller) break;
      sizes = smaller;
    }
  }
  return sizes;
}

/** What fills a block of rows in decoding, and several cores in a prefill. */
const LEAST_GROUP = 8;

const fewerBatches: Step = (now) => halved(now, "batches", 1);
const fewerKeys: Step = (now) => halved(now, "tokensK", 512);
const fewerTokens: Step = (now) => {
  const fewer = halved(halved(now, "tokensQ", 192) ?? now, "tokensK", 192);
  return fewer ?? halved(now, "tokensQ", 192);
};
const fewerKvHeads =
  (least: number): Step =>
  (now) =>
    now.heads > 4 || least < 2 ? withHeads(now, now.kvHeads / 2, groupOf(now), least) : undefined;
/** Query heads that share a key head: with few key heads they are what is left to cut. */
const smallerGroups =
  (least: number): Step =>
  (now) =>
    groupOf(now) > least ? withHeads(now, now.kvHeads, Math.max(groupOf(now) / 2, least)) : undefined;

const PREFILL_STEPS: readonly Step[] = [
  fewerBatches,
  fewerKvHeads(2),
  smallerGroups(LEAST_GROUP),
  fewerTokens,
  fewerKvHeads(1),
  smallerGroups(1),
];

const DECODE_STEPS: readonly Step[] = [
  fewerKeys,
  fewerBatches,
  fewerKvHeads(2),
  smallerGroups(LEAST_GROUP),
  fewerKvHeads(1),
];

function halved(sizes: Sizes, name: "batches" | "tokensQ" | "tokensK", least: number): Sizes | undefined {
  return sizes[name] > least ? { ...sizes, [name]: Math.max(Math.ceil(sizes[name] / 2), least) } : undefined;
}

function groupOf({ heads, kvHeads }: Sizes): number {
  return heads / kvHeads;
}

function withHeads(sizes: Sizes, wanted: number, groups: number, least = 1): Sizes | undefined {
  const [kvHeads, group] = [Math.max(Math.ceil(wanted), least), Math.ceil(groups)];
  const fewer = kvHeads < sizes.kvHeads || group < groupOf(sizes);
  return fewer ? { ...sizes, kvHeads, heads: kvHeads * group } : undefined;
}

/** Numbers in all tensors of the proxy, a bias included. */
export function proxyElements(shape: SoftmaxShape, sizes: Sizes): number {
  const { batches, tokensQ, tokensK, heads, kvHeads, headDim, valueDim } = sizes;
  const full = [batches, heads, tokensQ, tokensK];
  const bias = shape.bias?.shape.reduce((product, size, axis) => product * (size > 1 ? full[axis]! : 1), 1);
  const channels = headDim + valueDim;
  return batches * (tokensQ * heads + tokensK * kvHeads) * channels + (bias ?? 0);
}

/** Operations of the proxy. */
export function proxyFlops(shape: SoftmaxShape, sizes: Sizes): number {
  const { windowLeft, windowRight, ...unbounded } = shape;
  const { left, right } = proxyWindow(shape, sizes);
  return attentionFlops({
    ...unbounded,
    ...sizes,
    queryOffset: sizes.tokensK - sizes.tokensQ,
    ...(left !== undefined && { windowLeft: left }),
    ...(right !== undefined && { windowRight: right }),
  });
}

/** Windows shrink with the keys, so that they hide the same share of them; causal stays causal. */
function proxyWindow(shape: SoftmaxShape, { tokensK }: Sizes): { left?: number; right?: number } {
  const scaled = (keys: number) => Math.ceil((keys * tokensK) / shape.tokensK);
  const { windowLeft, windowRight } = shape;
  return {
    ...(windowLeft !== undefined && { left: scaled(windowLeft) }),
    ...(windowRight !== undefined && { right: scaled(windowRight) }),
  };
}

/**
 * The proxy with the options of the problem; data that the problem has in buffers is made up. The scale is the default: it costs
 * nothing, and one that suits the problem's own data may leave nothing but rounding errors of made-up numbers.
 */
export function proxyCase(shape: SoftmaxShape, sizes: Sizes): SoftmaxCase {
  const { q, k, softcap, alibi, sinks, keyMask, bias, rotary } = shape;
  return {
    name: "tuning",
    batches: sizes.batches,
    tokensQ: sizes.tokensQ,
    tokensK: sizes.tokensK,
    heads: sizes.heads,
    kvHeads: sizes.kvHeads,
    headDim: sizes.headDim,
    valueDim: sizes.valueDim,
    dtype: q.dtype as SoftmaxCase["dtype"],
    kvDtype: k.dtype as SoftmaxCase["kvDtype"],
    options: {
      queryOffset: sizes.tokensK - sizes.tokensQ,
      window: proxyWindow(shape, sizes),
      ...(softcap !== undefined && { softcap }),
      ...(alibi && { alibiSlopes: true }),
      ...(sinks && { sinkLogits: true }),
      ...(keyMask && { keyMask: "random" as const }),
      ...(bias && {
        bias: bias.shape.map((size) => size > 1) as unknown as [boolean, boolean, boolean, boolean],
      }),
      ...(rotary && { rope: rotary }),
    },
  };
}

/** Strides of a proxy's tensor: dense, or with a gap where the problem's own tensors cannot be read four channels at a time. */
export function proxyStrides(
  shape: SoftmaxShape,
  capabilities: Capabilities,
  [, tokens, heads, dim]: Shape4,
): Shape4 {
  const aligned = storageConditions(shape, capabilities, false).includes("vec4");
  const row = aligned || dim % 4 !== 0 ? dim : dim + 1;
  return [tokens * heads * row, heads * row, row, 1];
}
