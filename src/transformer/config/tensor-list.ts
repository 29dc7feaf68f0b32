/** Where values of a stored tensor go. */
export interface TensorTarget {
  /** Name of the weight in a loaded model: `"layers.0.qkv"`. */
  readonly slot: string;
  /** `matrix`: a weight matrix. `vector` and `table`: f32 in a tensor view of one row, or of as many as there are. */
  readonly kind: "matrix" | "vector" | "table";
  /** First row of the slot that this tensor gives; of a vector, its first element. */
  readonly firstRow: number;
  readonly rows: number;
  readonly columns: number;
  /** Stored [columns, rows] (GPT-2's Conv1D). */
  readonly transposed: boolean;
  /** Rows of so many are stored with their first half at even places and their second half at odd ones (GGUF's q and k of llama). */
  readonly interleavedRows?: number;
}

/** A tensor that a file of this model holds. */
export interface ExpectedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly target: TensorTarget;
}

interface StackedPart {
  readonly name: string;
  readonly rows: number;
  readonly interleavedRows?: number;
}

/** Collects the tensors of a model: their names and shapes in the file, and where they go. */
export class TensorList {
  readonly tensors: ExpectedTensor[] = [];
  /** Names that files of this kind may hold beside the weights, and that nothing reads. */
  readonly unused: RegExp[] = [];

  /** A matrix [rows, columns] = [out, in]. */
  matrix(slot: string, name: string, rows: number, columns: number, stored = [rows, columns]): void {
    this.#add(name, stored, { slot, kind: "matrix", firstRow: 0, rows, columns, transposed: false });
  }

  /** A matrix that is stored [in, out]. */
  transposed(slot: string, name: string, rows: number, columns: number): void {
    this.#add(name, [columns, rows], { slot, kind: "matrix", firstRow: 0, rows, columns, transposed: true });
  }

  /** Matrices that become one, one below the other. */
  stacked(slot: string, parts: readonly StackedPart[], columns: number): void {
    let firstRow = 0;
    for (const { name, rows, interleavedRows } of parts) {
      this.#add(name, [rows, columns], {
        ...{ slot, kind: "matrix", firstRow, rows, columns, transposed: false },
        ...(interleavedRows && { interleavedRows }),
      });
      firstRow += rows;
    }
  }

  vector(slot: string, name: string, rows: number, stored: readonly number[] = [rows]): void {
    this.#add(name, stored, { slot, kind: "vector", firstRow: 0, rows, columns: 1, transposed: false });
  }

  /** Vectors that become one, one after the other. */
  stackedVector(slot: string, parts: readonly StackedPart[]): void {
    let firstRow = 0;
    for (const { name, rows, interleavedRows } of parts) {
      this.#add(name, [rows], {
        ...{ slot, kind: "vector", firstRow, rows, columns: 1, transposed: false },
        ...(interleavedRows && { interleavedRows }),
      });
      firstRow += rows;
    }
  }

  /** A small table, [1, rows, 1, columns] in f32. */
  table(
    slot: string,
    name: string,
    rows: number,
    columns: number,
    stored: readonly number[] = [rows, columns],
  ): void {
    this.#add(name, stored, { slot, kind: "table", firstRow: 0, rows, columns, transposed: false });
  }

  /** Linear layer: a matrix and, if wished, its bias, under one name. */
  linear(slot: string, name: string, rows: number, columns: number, bias: boolean): void {
    this.matrix(slot, `${name}.weight`, rows, columns);
    if (bias) this.vector(`${slot}.bias`, `${name}.bias`, rows);
  }

  /** Linear layers that become one. */
  stackedLinear(slot: string, parts: readonly StackedPart[], columns: number, bias: boolean): void {
    const named = (end: string) => parts.map((part) => ({ ...part, name: `${part.name}.${end}` }));
    this.stacked(slot, named("weight"), columns);
    if (bias) this.stackedVector(`${slot}.bias`, named("bias"));
  }

  /** A norm's scale, and its shift where it has one. */
  norm(slot: string, name: string, width: number, shift: boolean, ends = ["weight", "bias"]): void {
    this.vector(`${slot}.weight`, `${name}.${ends[0]}`, width);
    if (shift) this.vector(`${slot}.bias`, `${name}.${ends[1]}`, width);
  }

  #add(name: string, shape: readonly number[], target: TensorTarget): void {
    this.tensors.push({ name, shape, target });
  }
}
