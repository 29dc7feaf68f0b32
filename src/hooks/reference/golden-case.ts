// Golden files of interventions as the tests of these folders read them. Node only.
import { goldenFiles } from "../../../test/support/golden.js";
import { swapAxes } from "../../../test/support/swap-axes.js";
import type { DenseTensor } from "./dense-tensor.js";

const FILES = new Map(goldenFiles("intervention").map((file) => [file.metadata.case!, file]));

export interface GoldenCase<Params> {
  readonly params: Params;
  /** Values of a tensor, dense row-major; throws where the file has none of the name. */
  readonly tensor: (name: string) => ArrayLike<number>;
  readonly shape: (name: string) => readonly number[];
  /** `[.., H, N, D]` as the library's [B, N, H, D]. */
  readonly tokensFirst: (name: string) => DenseTensor;
  /** `[.., H, N, D]` values of head `h`, [N, D] row-major; `b` counts whatever axes lead. */
  readonly headValues: (name: string, h: number, b?: number) => ArrayLike<number>;
}

/** A case by its name, without `intervention_`. */
export function golden<Params = Record<string, unknown>>(name: string): GoldenCase<Params> {
  const file = FILES.get(name);
  if (!file) throw new Error(`no golden case "${name}"`);
  const find = (tensor: string) => {
    const found = file.tensors.get(tensor);
    if (!found) throw new Error(`${name} has no tensor "${tensor}"`);
    return { shape: found.shape, data: found.data as unknown as Float64Array };
  };
  const fourAxes = (tensor: string) => {
    const axes = [1, 1, 1, ...find(tensor).shape];
    const leading = axes.slice(0, -3).reduce((product, size) => product * size);
    return [leading, ...axes.slice(-3)] as [number, number, number, number];
  };
  return {
    params: JSON.parse(file.metadata.params!) as Params,
    tensor: (tensor) => find(tensor).data,
    shape: (tensor) => find(tensor).shape,
    tokensFirst: (tensor) => {
      const [b, h, n, d] = fourAxes(tensor);
      const data = swapAxes(find(tensor).data as unknown as Float32Array, [b, h, n, d]);
      return { data, shape: [b, n, h, d] };
    },
    headValues: (tensor, h, b = 0) => {
      const [, heads, tokens, width] = fourAxes(tensor);
      const begin = (b * heads + h) * tokens * width;
      return find(tensor).data.slice(begin, begin + tokens * width);
    },
  };
}
