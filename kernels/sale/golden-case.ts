// Golden files of SALE as this folder's tests read them.
import type { SafetensorsFile, SafetensorsTensor } from "../../test/support/safetensors.js";
import { swapAxes } from "../../test/support/swap-axes.js";
import type { DenseTensor, SaleReferenceInputs } from "./reference.js";

interface GoldenParams {
  readonly block_k: number;
  readonly block_seg: number;
  readonly local_window: number;
  readonly scale: number;
}

/** The inputs of a file; thresholds are those of its `tau`. */
export function goldenInputs({ metadata, tensors }: SafetensorsFile): SaleReferenceInputs {
  const params = JSON.parse(metadata.params!) as GoldenParams;
  return {
    q: swapHeadsAndTokens(tensors.get("q")!),
    k: swapHeadsAndTokens(tensors.get("k")!),
    v: swapHeadsAndTokens(tensors.get("v")!),
    thresholds: tensors.get("tau")!.data as Float32Array,
    blockK: params.block_k,
    segment: params.block_seg,
    localWindow: params.local_window,
    scale: params.scale ?? 1 / Math.sqrt(tensors.get("q")!.shape[3]!),
  };
}

/** The golden files are [B, H, N, D]; the library takes [B, N, H, D]. */
function swapHeadsAndTokens({ shape, data }: SafetensorsTensor): DenseTensor {
  const [b, h, n, d] = shape as [number, number, number, number];
  return { data: swapAxes(data as Float32Array, [b, h, n, d]), shape: [b, n, h, d] };
}

/** What a file expects of each query head, [B, Hq] row-major. */
export function goldenHeads({ tensors }: SafetensorsFile) {
  const [batches, heads] = tensors.get("q")!.shape as [number, number];
  const kvHeads = tensors.get("k")!.shape[1]!;
  return Array.from({ length: batches * heads }, (_, index) => {
    const [b, h] = [Math.floor(index / heads), index % heads];
    const kvIndex = b * kvHeads + Math.floor(h / (heads / kvHeads));
    const part = (name: string, of = index) => headPart(tensors.get(name)!, of);
    return {
      qIntegers: unpacked(part("q_int4_packed")),
      kIntegers: unpacked(part("k_int4_packed", kvIndex)),
      qScales: part("q_scale"),
      kScales: part("k_scale", kvIndex),
      qMean: part("q_mean"),
      kMean: part("k_mean", kvIndex),
      correction: part("qmk"),
      max: part("m_ref"),
      sum: part("l_ref"),
      threshold: part("thr"),
      mask: Uint8Array.from(part("block_mask")),
      selectable: Uint8Array.from(part("selectable")),
      out: part("out"),
    };
  });
}

/** A tensor [B, H, ...] at one of its heads. */
function headPart({ data, shape }: SafetensorsTensor, index: number): Float64Array {
  const size = shape.slice(2).reduce((a, b) => a * b, 1);
  return Float64Array.from(data.subarray(index * size, (index + 1) * size) as Float32Array);
}

/** Channel 2c in the high half of byte c, 2c + 1 in the low, two's complement. */
function unpacked(bytes: ArrayLike<number>): Int8Array {
  return Int8Array.from({ length: 2 * bytes.length }, (_, index) => {
    const byte = bytes[index >> 1]!;
    return (index % 2 ? (byte << 28) >> 28 : (byte << 24) >> 28) | 0;
  });
}
