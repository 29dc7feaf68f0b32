import { stridesOf, type TensorLayout } from "../../src/dispatch/tensor-view.js";

/** A matrix [1, 1, rows, columns] seen the other way round. */
export function transposed(matrix: TensorLayout): TensorLayout {
  const [b, t, rows, columns] = matrix.shape;
  const [strideB, strideT, strideRows, strideColumns] = stridesOf(matrix);
  return { ...matrix, shape: [b, t, columns, rows], strides: [strideB, strideT, strideColumns, strideRows] };
}
