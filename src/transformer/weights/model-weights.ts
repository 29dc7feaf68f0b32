import { AttentionError, type TensorView } from "webgpu-attention";
import type { WeightMatrix } from "webgpu-attention/layers";

/** What loading took, in milliseconds of waiting for the source, of converting, and of handing over to the GPU. */
export interface LoadTimes {
  readonly readMs: number;
  readonly convertMs: number;
  readonly uploadMs: number;
}

/** The weights of a model on the GPU, by name; docs/models.md lists the names. Buffers belong to it until `destroy()`. */
export class ModelWeights {
  readonly #matrices: ReadonlyMap<string, readonly WeightMatrix[]>;
  readonly #views: ReadonlyMap<string, TensorView>;
  readonly #buffers: readonly GPUBuffer[];
  /** Bytes of GPU memory. */
  readonly bytes: number;
  readonly times: LoadTimes;

  /** @internal Made by loading. */
  constructor(
    matrices: ReadonlyMap<string, readonly WeightMatrix[]>,
    views: ReadonlyMap<string, TensorView>,
    times: LoadTimes,
  ) {
    this.#matrices = matrices;
    this.#views = views;
    const parts = [...matrices.values()].flat().flatMap((matrix) => matrix.parts);
    this.#buffers = [...parts, ...views.values()].map(({ buffer }) => buffer);
    this.bytes = this.#buffers.reduce((sum, { size }) => sum + size, 0);
    this.times = times;
  }

  /** Names of all weights. */
  get names(): readonly string[] {
    return [...this.#matrices.keys(), ...this.#views.keys()];
  }

  has(name: string): boolean {
    return this.#matrices.has(name) || this.#views.has(name);
  }

  /**
   * A weight matrix. Where a file stores its rows in several types, they are several matrices, one below the other.
   *
   * @throws AttentionError "unsupported" when the model has none of this name
   */
  matrices(name: string): readonly WeightMatrix[] {
    return this.#matrices.get(name) ?? missing(name, this.names);
  }

  /**
   * A vector [1, 1, 1, n] or a table [1, rows, 1, columns], f32.
   *
   * @throws AttentionError "unsupported" when the model has none of this name
   */
  view(name: string): TensorView {
    return this.#views.get(name) ?? missing(name, this.names);
  }

  destroy(): void {
    for (const buffer of this.#buffers) buffer.destroy();
  }
}

function missing(name: string, names: readonly string[]): never {
  throw new AttentionError("unsupported", {
    subject: `weight "${name}"`,
    expected: `one of the model's ${names.length} weights`,
    got: "none of this name",
    fix: "docs/models.md lists the weights of each architecture.",
  });
}
