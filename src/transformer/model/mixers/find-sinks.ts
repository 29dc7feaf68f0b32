import type { TensorView } from "webgpu-attention";
import { sinkListWords } from "webgpu-attention/calibration";
import type { HookedPlan, HookedProblem, IntervenedTensors } from "webgpu-attention/hooks";
import type { SoftmaxTensors } from "webgpu-attention/softmax";
import { type LayerContext, rows } from "../layer-context.js";
import type { SequenceState } from "../sequence-state.js";
import { type SinkSearch, sinkSearch } from "../sink-search.js";
import { recordStep, type Step } from "../step.js";

type SearchTensors = Omit<IntervenedTensors, keyof SoftmaxTensors>;

/** What attention is given beside its problem so that its shifts find sinks, and what goes around it. */
interface PlannedSearch {
  readonly given: Partial<HookedProblem>;
  readonly tensors: (run: SequenceState | undefined) => SearchTensors;
  readonly before: readonly Step[];
  readonly after: (plan: HookedPlan) => readonly Step[];
}

const NO_SEARCH: PlannedSearch = { given: {}, tensors: () => ({}), before: [], after: () => [] };

interface Keys {
  readonly q: TensorView;
  readonly k: TensorView;
  readonly isCached: boolean;
}

/**
 * How the shifts of a layer's hooks find their sinks: a pass over a whole text in that text, a pass that goes on with one among what was found before. A
 * state keeps the lists, and the sums of `update: "running"`, from pass to pass.
 */
export function planSinkSearch(layer: LayerContext, { q, k, isCached }: Keys): PlannedSearch {
  const { site, hooks, index, isWhole } = layer;
  const search = sinkSearch(site, { q }, hooks);
  if (!search) return NO_SEARCH;
  const stream = search.hidden ? { hidden: rows(layer, "stream", layer.config.width) } : {};
  if (!isCached) return { ...NO_SEARCH, given: stream, tensors: () => stream };
  layer.sinkSearches?.set(index, search);
  const capacity = k.shape[1];
  const sumsOf = (run: SequenceState | undefined) => {
    const { turns } = run!.sinksOf(index);
    if (!search.running || !turns) return {};
    const [from, to] = [turns[run!.turn], turns[1 - run!.turn]!];
    const written = { receivedSum: to.sum, receivedCount: to.count };
    return isWhole ? written : { carriedSum: from.sum, carriedCount: from.count, ...written };
  };
  return (isWhole ? findAll : goOn)(layer, { ...search, capacity, sumsOf });
}

interface CachedSearch extends SinkSearch {
  /** Keys that a cache has room for. */
  readonly capacity: number;
  readonly sumsOf: PlannedSearch["tensors"];
}

function findAll(layer: LayerContext, { capacity, hidden, running, sumsOf }: CachedSearch): PlannedSearch {
  const { work, batches, config, index } = layer;
  const states = hidden && work.view("hidden states", [batches, capacity, 1, config.width]);
  const looked = states ? { hidden: states } : {};
  return {
    given: { ...looked, receivedSums: running },
    tensors: (run) => ({ ...looked, ...sumsOf(run) }),
    before: states ? [copyStream(layer, states)] : [],
    after: ({ sinks }) =>
      sinks
        ? [recordStep((encoder, run) => copyAll(encoder, sinks.buffer, run!.sinksOf(index).lists.buffer))]
        : [],
  };
}

/** As many hidden states as a cache has keys: those behind the text's are not looked at. */
function copyStream(layer: LayerContext, hidden: TensorView): Step {
  const { batches, tokens, config } = layer;
  const { buffer } = rows(layer, "stream", config.width);
  const [row, gap] = [4 * tokens * config.width, 4 * hidden.shape[1] * config.width];
  return recordStep((encoder) => {
    for (let entry = 0; entry < batches; entry++)
      encoder.copyBufferToBuffer(buffer, entry * row, hidden.buffer, entry * gap, row);
  });
}

/** Compiled passes are for any state: the lists of the one that runs are copied to where the pass reads them. */
function goOn(
  { work, batches, index }: LayerContext,
  { capacity, heads, running, sumsOf }: CachedSearch,
): PlannedSearch {
  const { buffer } = work.view("sinks", [batches, 1, heads, sinkListWords(capacity)]);
  return {
    given: { sinks: { buffer, keys: capacity }, ...(running && { carried: true, receivedSums: true }) },
    tensors: sumsOf,
    before: [recordStep((encoder, run) => copyAll(encoder, run!.sinksOf(index).lists.buffer, buffer))],
    after: () => [],
  };
}

/** The two are as long but for a workspace's buffer, which other passes may need longer. */
function copyAll(encoder: GPUCommandEncoder, from: GPUBuffer, to: GPUBuffer): void {
  encoder.copyBufferToBuffer(from, 0, to, 0, Math.min(from.size, to.size));
}
