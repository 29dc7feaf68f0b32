import { AttentionError, type TensorView } from "webgpu-attention";
import { recordActivation } from "webgpu-attention/hooks";
import { planRope } from "webgpu-attention/layers";
import { planSaleAttention } from "webgpu-attention/sale";
import type { SaleConfig } from "../../config/model-config.js";
import { type RopeConfig, ropeTable } from "../../config/rope.js";
import { announce, isListening } from "../announce.js";
import type { LayerContext } from "../layer-context.js";
import type { SequenceState } from "../sequence-state.js";
import { planSteps, recordStep, type Step, stepOf } from "../step.js";
import { type HeadTensors, headTensors, planHeads, planOut, planProjections } from "./softmax.js";
import type { Streams } from "./streams.js";

/**
 * SALE (arXiv 2505.24179) over the whole text so far; softmax attention for what comes behind it, as in the paper, and where hooks may act on
 * heads or look at the log-sum-exp, which concern all keys.
 */
export async function planSaleMixer(
  layer: LayerContext,
  attention: SaleConfig,
  streams: Streams,
  state: SequenceState | undefined,
): Promise<Step[]> {
  if (attention.window !== undefined) throw noWindow(layer.index);
  const heads = headTensors(layer, attention, state);
  const isSparse = layer.isWhole && layer.hooks.every(({ prepare, after }) => !prepare && !after);
  return planSteps([
    planProjections(layer, attention, streams, heads),
    isSparse ? planSparse(layer, attention, heads) : planHeads(layer, attention, heads),
    planOut(layer, attention, streams, heads.attended),
  ]);
}

async function planSparse(layer: LayerContext, attention: SaleConfig, heads: HeadTensors): Promise<Step[]> {
  const { ctx, work, context, tokens } = layer;
  const { q, attended: out, keys, keysOf } = heads;
  const { rope, thresholds } = attention;
  const rows = ({ k, v }: HeadTensors["keys"]) => ({ k: firstRows(k, tokens), v: firstRows(v, tokens) });
  const own = rows(keys);
  const turned = rope && {
    q: work.view("turned q", q.shape),
    k: work.view("turned k", own.k.shape),
  };
  const tensors = (run: SequenceState | undefined) => ({ q, ...rows(keysOf(run)), ...turned, out });
  const scale = attention.scale * (rope ? ropeTable(rope, context).attentionFactor : 1) ** 2;
  const attend = async () => {
    const problem = { q, ...own, ...turned, out, thresholds, scale };
    return stepOf(await planSaleAttention(ctx, problem), tensors);
  };
  const steps = await planSteps([
    ...(turned ? [planTurn(layer, rope, turned.q, () => q)] : []),
    ...(turned ? [planTurn(layer, rope, turned.k, (run) => rows(keysOf(run)).k, own.k)] : []),
    attend(),
  ]);
  return [...showInputs(layer, heads), ...steps, ...announce(layer, "headOutput", out)];
}

async function planTurn(
  { ctx, context }: LayerContext,
  rope: RopeConfig,
  out: TensorView,
  inputOf: (run: SequenceState | undefined) => TensorView,
  layout = inputOf(undefined),
): Promise<Step> {
  const { frequencies } = ropeTable(rope, context);
  const plan = await planRope(ctx, { x: layout, out, frequencies, interleaved: rope.interleaved });
  return stepOf(plan, (run) => ({ x: inputOf(run), out }));
}

/** To hooks, as they come from the projections: keys those of the whole cache. */
function showInputs(layer: LayerContext, { q, keysOf }: HeadTensors): Step[] {
  if (!isListening(layer)) return [];
  const { hooks, site } = layer;
  const show = recordStep((encoder, run) => {
    const { k, v } = keysOf(run);
    for (const [name, tensor] of Object.entries({ q, k, v }) as ["q" | "k" | "v", TensorView][])
      recordActivation(hooks, site, name, encoder, tensor);
  });
  return [show];
}

/** Of a cache, where the text's own keys stand. */
function firstRows(view: TensorView, tokens: number): TensorView {
  const [batches, capacity, heads, dim] = view.shape;
  return {
    ...view,
    shape: [batches, tokens, heads, dim],
    strides: [capacity * heads * dim, heads * dim, dim, 1],
  };
}

function noWindow(layer: number): AttentionError {
  return new AttentionError("unsupported", {
    subject: `layer ${layer}`,
    ...{ expected: "SALE over all tokens before each", got: "a sliding window" },
    fix: 'Take "softmax" for layers with a window.',
  });
}
