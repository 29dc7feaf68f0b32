import { type AttentionContext, AttentionError, type Shape4, type TensorView } from "webgpu-attention";
import { sinusoidalPositions, type WeightLayout, type WeightMatrix } from "webgpu-attention/layers";
import type { TfjsTensor } from "./tfjs-weights.js";

export const USE_LITE_MAX_TOKENS = 128;
export const USE_LITE_HEADS = 4;
/** Channels of an embedding. */
export const USE_LITE_DIM = 512;
/** Two more than the vocabulary has pieces; no id reaches them. */
const TABLE_ROWS = 8002;
const TOKEN_DIM = 256;
const HIDDEN_DIM = 1536;

/** x W + b: weight [1, 1, in, out], bias [1, 1, 1, out]. */
export interface DenseWeights {
  readonly weight: TensorView;
  readonly bias: TensorView;
}

export interface NormWeights {
  readonly scale: TensorView;
  readonly bias: TensorView;
}

export interface UseLiteLayerWeights {
  /** Channels that go in: 256, then 512. */
  readonly width: number;
  readonly attentionNorm: NormWeights;
  /** Columns q | k | v, each [heads, headDim]. */
  readonly qkv: DenseWeights;
  readonly attentionOut: DenseWeights;
  /** Takes the layer's input to its output's width, where they differ. */
  readonly shortcut?: DenseWeights;
  readonly hiddenNorm: NormWeights;
  readonly hidden: DenseWeights;
  readonly hiddenOut: DenseWeights;
}

/** Universal Sentence Encoder Lite on the GPU. */
export interface UseLiteWeights {
  /** [8002, 256] */
  readonly table: WeightMatrix;
  /** [1, 128, 1, 256] */
  readonly positions: TensorView;
  readonly layers: readonly UseLiteLayerWeights[];
  readonly head: DenseWeights;
  destroy(): void;
}

const FOLDED = "module_apply_default/Encoder_en/KonaTransformer/Encode";
const VARIABLES = "module/Encoder_en/KonaTransformer/Encode";
const HEAD = "module/Encoder_en/hidden_layers/tanh_layer_0";

/**
 * Uploads the weights by their names in the published `model.json`.
 *
 * @param tensors emptied on the way, so that memory on both sides is never full at once
 * @throws AttentionError "format" for a missing weight or one of another shape, "limit" when the device takes no such buffer
 */
export function uploadUseLite(ctx: AttentionContext, tensors: Map<string, TfjsTensor>): UseLiteWeights {
  const buffers: GPUBuffer[] = [];
  const destroy = () => {
    for (const buffer of buffers) buffer.destroy();
  };
  const put = (data: Float32Array, shape: Shape4): TensorView => {
    const view = ctx.fromArray(data, shape);
    buffers.push(view.buffer);
    return view;
  };
  const take = (name: string, rows: number, columns: number) => takeTensor(tensors, name, rows, columns);
  const matrix = (name: string, rows: number, columns: number) =>
    put(take(name, rows, columns), [1, 1, rows, columns]);
  const dense = (kernel: string, bias: string, rows: number, columns: number): DenseWeights => ({
    weight: matrix(kernel, rows, columns),
    bias: matrix(bias, 1, columns),
  });
  const layer = (index: number): UseLiteLayerWeights => {
    const width = index === 0 ? TOKEN_DIM : USE_LITE_DIM;
    const block = `${FOLDED}/Layer_${index}/TransformerLayer`;
    const norm = (part: string, dim: number): NormWeights => {
      const base = `${block}/${part}/layer_norm/layer_norm`;
      return {
        scale: matrix(`${base}_scale/ConcatPartitions/concat`, 1, dim),
        bias: matrix(`${base}_bias/ConcatPartitions/concat`, 1, dim),
      };
    };
    const projection = (name: string, columns: number) => {
      const part = `Layer_${index}/TransformerLayer/MultiheadAttention/${name}`;
      const kernel = `${VARIABLES}/${part}/kernel/part_0`;
      return dense(kernel, `${FOLDED}/${part}/bias/ConcatPartitions/concat`, width, columns);
    };
    const convolution = (name: string, rows: number, columns: number) => {
      const kernel = `${FOLDED}/TransformerStack/Layer_${index}/TransformerLayer/FFN/${name}/Tensordot/Reshape_1`;
      return dense(kernel, `${block}/FFN/${name}/bias/ConcatPartitions/concat`, rows, columns);
    };
    const widen = (part: string) => `${block}/dense/${part}/ConcatPartitions/concat`;
    return {
      width,
      attentionNorm: norm("layer_prepostprocess", width),
      qkv: projection("qkv_transform_single", 3 * width),
      attentionOut: projection("output_transform_single", USE_LITE_DIM),
      ...(width !== USE_LITE_DIM && {
        shortcut: dense(widen("kernel"), widen("bias"), width, USE_LITE_DIM),
      }),
      hiddenNorm: norm("FFN/layer_prepostprocess", USE_LITE_DIM),
      hidden: convolution("conv1", USE_LITE_DIM, HIDDEN_DIM),
      hiddenOut: convolution("conv2", HIDDEN_DIM, USE_LITE_DIM),
    };
  };
  try {
    const timing = `${FOLDED}/TransformerStack/Layer_0/AddTimingSignal/TimingSignal/ExpandDims_1`;
    const frequencies = take(timing, 1, TOKEN_DIM / 2);
    const positions = sinusoidalPositions(frequencies, USE_LITE_MAX_TOKENS);
    const { buffer } = matrix("module/Embeddings_en", TABLE_ROWS, TOKEN_DIM);
    const table: WeightLayout = { dtype: "f32", rows: TABLE_ROWS, columns: TOKEN_DIM };
    return {
      // Rows of 256 f32 are as a weight matrix has them.
      table: { ...table, parts: [{ buffer, firstRow: 0, rows: TABLE_ROWS }] },
      positions: put(positions, [1, USE_LITE_MAX_TOKENS, 1, TOKEN_DIM]),
      layers: [layer(0), layer(1)],
      head: dense(`${HEAD}/weights`, `${HEAD}/bias`, USE_LITE_DIM, USE_LITE_DIM),
      destroy,
    };
  } catch (error) {
    destroy();
    throw error;
  }
}

/** The f32 data of a weight, whose leading sizes of 1 do not matter; it is taken out of the map. */
function takeTensor(
  tensors: Map<string, TfjsTensor>,
  name: string,
  rows: number,
  columns: number,
): Float32Array {
  const tensor = tensors.get(name);
  const shape = tensor?.shape.filter((size, axis) => size !== 1 || axis >= tensor.shape.length - 1) ?? [];
  const expected = rows === 1 ? [columns] : [rows, columns];
  const fits = shape.length === expected.length && shape.every((size, axis) => size === expected[axis]);
  if (tensor?.dtype !== "float32" || !fits) {
    throw new AttentionError("format", {
      subject: `weight ${name}`,
      expected: `float32 [${expected}]`,
      got: tensor ? `${tensor.dtype} [${tensor.shape}]` : "none of this name",
      fix: "This is the loader of Universal Sentence Encoder Lite for TensorFlow.js; give it that model's files.",
    });
  }
  tensors.delete(name);
  return tensor.data;
}
