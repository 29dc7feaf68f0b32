import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import type { SoftmaxCase } from "./cases.js";
import { attentionFlops, storageConditions } from "./pass-parts.js";
import type { SoftmaxShape } from "./problem.js";
import { DECODE_TOKENS, type Sizes } from "./sizes.js";

/**
 * A smaller problem of the same class, for timing candidates: the same widths, types and terms, fewer batches, heads and
 * tokens, until one run takes some `flops` operations. Where it is small already it stays as it is.
 *
 * Batches and heads go first, since they only repeat the same work; then tokens, queries and keys alike, so that a causal mask
 * keeps its share; last the heads that keep several cores busy.
 */
export function proxySizes(shape: SoftmaxShape, flops: number): Sizes {
  const { batches, tokensQ, tokensK, heads, kvHeads, headDim, valueDim, rotary } = shape;
  const group = heads / kvHeads;
  let sizes: Sizes = {
    batches,
    tokensQ,
    tokensK,
    heads,
    kvHeads,
    headDim,
    valueDim,
    ...(rotary && { rotary }),
  };
  const least = tokensQ <= DECODE_TOKENS ? { tokensQ, tokensK: 512 } : { tokensQ: 192, tokensK: 192 };
  const steps: ((now: Sizes) => Sizes | undefined)[] = [
    (now) => (now.batches > 1 ? { ...now, batches: Math.ceil(now.batches / 2) } : undefined),
    (now) =>
      now.kvHeads > 2 && now.heads > 4 ? withKvHeads(now, Math.ceil(now.kvHeads / 2), group) : undefined,
    (now) => {
      const fewer = {
        ...now,
        tokensQ: Math.max(Math.ceil(now.tokensQ / 2), Math.min(least.tokensQ, now.tokensQ)),
        tokensK: Math.max(Math.ceil(now.tokensK / 2), Math.min(least.tokensK, now.tokensK)),
      };
      return fewer.tokensQ < now.tokensQ || fewer.tokensK < now.tokensK ? fewer : undefined;
    },
    (now) => (now.kvHeads > 1 ? withKvHeads(now, Math.ceil(now.kvHeads / 2), group) : undefined),
  ];
  for (const step of steps) {
    while (proxyFlops(shape, sizes) > flops) {
      const smaller = step(sizes);
      if (!smaller) break;
      sizes = smaller;
    }
  }
  return sizes;
}

function withKvHeads(sizes: Sizes, kvHeads: number, group: number): Sizes {
  return { ...sizes, kvHeads, heads: kvHeads * group };
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

/** The proxy with the options of the problem; data that the problem has in buffers is made up. */
export function proxyCase(shape: SoftmaxShape, sizes: Sizes): SoftmaxCase {
  const { q, k, scale, softcap, alibi, sinks, keyMask, bias, rotary } = shape;
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
      scale,
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
