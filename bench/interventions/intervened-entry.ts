// Attention with an operation on all heads as an entry of the benchmark, checked on one of them.
import { type HeadOperation, planIntervenedAttention } from "webgpu-attention/hooks";
import type { BenchEntry } from "../../kernels/_bench/mechanism-bench.js";
import { planEntry, recorded } from "../../kernels/_bench/plan-entry.js";
import type { Shape4 } from "../../src/dispatch/tensor-view.js";
import { interventionReference } from "../../src/hooks/reference/intervene.js";
import { layerInputs } from "./inputs.js";

const TOLERANCE = 1e-5;

export function intervenedEntry({
  name,
  tokens,
  heads,
  dim,
  causal,
  operation,
}: {
  readonly name: string;
  readonly tokens: number;
  readonly heads: number;
  readonly dim: number;
  readonly causal: boolean;
  readonly operation?: HeadOperation;
}): BenchEntry {
  return {
    name,
    rows: tokens * heads,
    async prepare(ctx) {
      const shape: Shape4 = [1, tokens, heads, dim];
      const given = layerInputs(shape);
      const hiddenShape: Shape4 = [1, tokens, 1, heads * dim];
      const tensors = {
        q: ctx.fromArray(given.q, shape),
        k: ctx.fromArray(given.k, shape),
        v: ctx.fromArray(given.v, shape),
        out: ctx.empty(shape),
        ...(looksAtHidden(operation) && { hidden: ctx.fromArray(given.hidden, hiddenShape) }),
      };
      const operations = new Map(
        operation ? Array.from({ length: heads }, (_, head) => [head, operation] as const) : [],
      );
      const plan = await planIntervenedAttention(ctx, { ...tensors, causal, heads: operations });
      const expected = () => {
        const ofHead = (values: Float32Array) => ({
          shape: [1, tokens, 1, dim] as const,
          data: values.filter((_, index) => Math.floor(index / dim) % heads === 0),
        });
        const { out } = interventionReference({
          ...{ q: ofHead(given.q), k: ofHead(given.k), v: ofHead(given.v), causal },
          heads: new Map(operation ? [[0, operation]] : []),
          hidden: [{ data: given.hidden, channels: heads * dim }],
        });
        const places = Array.from(
          { length: tokens * dim },
          (_, index) => Math.floor(index / dim) * heads * dim + (index % dim),
        );
        return [{ view: tensors.out, places, values: out }];
      };
      const buffers = Object.values(tensors).map(({ buffer }) => buffer);
      return planEntry(ctx, [recorded(plan, tensors)], [tensors.out], expected, TOLERANCE, buffers);
    },
  };
}

function looksAtHidden(operation: HeadOperation | undefined): boolean {
  return operation?.kind === "shift" && "hidden" in operation.sinks;
}
