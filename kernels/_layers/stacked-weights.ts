import type { CapabilityLimits } from "../../src/dispatch/capabilities.js";
import { expectEqual, fail } from "../../src/dispatch/check.js";
import { checkWeightMatrix, type WeightDType, type WeightMatrix } from "./weight-matrix.js";

/** One matrix, or several whose rows follow each other: q, k and v that were stored apart. */
export type StackedWeights = WeightMatrix | readonly WeightMatrix[];

/** Rows of a part that one pass multiplies by. */
interface WeightRows {
  readonly buffer: GPUBuffer;
  /** Of the whole part: its scales stand behind them. */
  readonly partRows: number;
  /** The first that the pass uses. */
  readonly row: number;
}

/** What one pass computes: outputs that lie in one part; gated, in one part of either half. */
export interface WeightPiece extends WeightRows {
  readonly dtype: WeightDType;
  readonly firstOutput: number;
  readonly outputs: number;
  readonly up?: WeightRows;
}

export interface StackedShape {
  readonly rows: number;
  readonly columns: number;
  readonly pieces: readonly WeightPiece[];
}

/**
 * Cuts stacked matrices into what single passes compute.
 *
 * @param gated output n takes rows n and n + rows / 2
 * @throws AttentionError "shape", "dtype", "unsupported", "limit"
 */
export function stackWeights(
  name: string,
  weights: StackedWeights,
  gated: boolean,
  limits: Pick<CapabilityLimits, "maxStorageBufferBindingSize">,
): StackedShape {
  // Array.from: forEach would pass over the holes of a sparse array.
  const matrices = Array.isArray(weights) ? Array.from<WeightMatrix>(weights) : [weights as WeightMatrix];
  if (matrices.length === 0) fail("shape", name, "at least one matrix", "none", "Give the weights.");
  let rows = 0;
  const pieces: WeightPiece[] = [];
  matrices.forEach((matrix, index) => {
    const subject = matrices.length > 1 ? `${name}[${index}]` : name;
    checkWeightMatrix(subject, matrix, limits);
    expectEqual(
      `${subject}.columns`,
      matrix.columns,
      matrices[0]!.columns,
      "the columns of the first matrix",
    );
    for (const part of matrix.parts) {
      const { buffer, firstRow, rows: partRows } = part;
      const firstOutput = rows + firstRow;
      pieces.push({ dtype: matrix.dtype, buffer, partRows, row: 0, firstOutput, outputs: partRows });
    }
    rows += matrix.rows;
  });
  return { rows, columns: matrices[0]!.columns, pieces: gated ? pairHalves(name, pieces, rows) : pieces };
}

function pairHalves(name: string, pieces: readonly WeightPiece[], rows: number): WeightPiece[] {
  if (rows % 2 !== 0)
    fail(
      "shape",
      `${name}.rows`,
      "an even number, half of them gates",
      rows,
      "Stack the gate's rows on the other's.",
    );
  const half = rows / 2;
  const cut = (from: number, to: number) =>
    pieces.flatMap((piece) => {
      const first = Math.max(piece.firstOutput, from);
      const end = Math.min(piece.firstOutput + piece.outputs, to);
      if (first >= end) return [];
      return [{ ...piece, row: first - piece.firstOutput, firstOutput: first - from, outputs: end - first }];
    });
  return cut(0, half).flatMap((gate) =>
    cut(half, rows).flatMap((up) => {
      const first = Math.max(gate.firstOutput, up.firstOutput);
      const end = Math.min(gate.firstOutput + gate.outputs, up.firstOutput + up.outputs);
      if (first >= end) return [];
      if (gate.dtype !== up.dtype)
        fail(
          "dtype",
          name,
          `both halves of one type`,
          `"${gate.dtype}" and "${up.dtype}"`,
          "Convert one of the two.",
        );
      const { buffer, partRows } = up;
      return [
        {
          ...gate,
          row: gate.row + first - gate.firstOutput,
          firstOutput: first,
          outputs: end - first,
          up: { buffer, partRows, row: up.row + first - up.firstOutput },
        },
      ];
    }),
  );
}
