import { AttentionError, type CapabilityLimits } from "webgpu-attention";
import { splitRows, type WeightDType, type WeightLayout, weightBytes } from "webgpu-attention/layers";
import type { Placement } from "./match-tensors.js";
import { KEPT_AS } from "./repack.js";

/** How a matrix's weights are kept: `"stored"` is the type that holds the file's values. */
export type WeightChoice = "stored" | WeightDType;

/** One choice for all matrices, or one for each by its name: `"layers.0.qkv"`. */
export type WeightChoices = WeightChoice | ((slot: string) => WeightChoice);

/** A buffer to be made. */
export interface PlannedPart {
  readonly firstRow: number;
  readonly rows: number;
  readonly bytes: number;
}

/** One weight matrix, or one tensor view, and the stored tensors that fill it. */
export interface PlannedWeight {
  readonly slot: string;
  readonly kind: "matrix" | "vector" | "table";
  /** Of a vector or table, f32 rows without padding. */
  readonly layout: WeightLayout;
  readonly parts: readonly PlannedPart[];
  /** The row of the weight that each tensor's first row becomes. */
  readonly sources: readonly { readonly placement: Placement; readonly firstRow: number }[];
}

/**
 * Decides how each weight is kept. Matrices that one matrix is made of share a type; where files store them in different ones (as
 * many GGUF files do), they stay matrices of their own, one below the other, but for the two of a gated part: both are kept in the finer
 * of their types.
 *
 * @throws AttentionError "limit" when not even one row fits into a buffer
 */
export function planSlots(
  placements: readonly Placement[],
  choices: WeightChoices,
  limits: CapabilityLimits,
): PlannedWeight[] {
  const slots = new Map<string, Placement[]>();
  for (const placement of placements) {
    const { slot } = placement.target;
    slots.set(slot, [...(slots.get(slot) ?? []), placement]);
  }
  return [...slots].flatMap(([slot, group]) => {
    const { kind } = group[0]!.target;
    if (kind !== "matrix") return [planView(slot, kind, group, limits)];
    const choice = typeof choices === "function" ? choices(slot) : choices;
    return sameTypes(slot, group, choice).map(({ dtype, members }) =>
      planMatrix(slot, dtype, members, limits),
    );
  });
}

function planView(
  slot: string,
  kind: "vector" | "table",
  group: readonly Placement[],
  limits: CapabilityLimits,
): PlannedWeight {
  const rows = group.reduce((sum, { target }) => sum + target.rows, 0);
  const layout: WeightLayout = { dtype: "f32", rows, columns: group[0]!.target.columns };
  const bytes = 4 * rows * layout.columns;
  const most = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  if (bytes > most) {
    throw new AttentionError("limit", {
      subject: `weight "${slot}"`,
      expected: `at most ${most} bytes (the device's maxStorageBufferBindingSize and maxBufferSize)`,
      got: `${bytes} bytes`,
      fix: "Request the device with AttentionContext.requirements(adapter).",
    });
  }
  return { slot, kind, layout, parts: [{ firstRow: 0, rows, bytes }], sources: sourcesOf(group) };
}

function planMatrix(
  slot: string,
  dtype: WeightDType,
  group: readonly Placement[],
  limits: CapabilityLimits,
): PlannedWeight {
  const rows = group.reduce((sum, { target }) => sum + target.rows, 0);
  const layout: WeightLayout = { dtype, rows, columns: group[0]!.target.columns };
  const parts = splitRows(layout, limits).map((part) => ({ ...part, bytes: weightBytes(layout, part.rows) }));
  return { slot, kind: "matrix", layout, parts, sources: sourcesOf(group) };
}

function sourcesOf(group: readonly Placement[]): PlannedWeight["sources"] {
  const first = group[0]!.target.firstRow;
  return group.map((placement) => ({ placement, firstRow: placement.target.firstRow - first }));
}

/** Tensors of a slot that lie next to each other and are kept in one type. */
function sameTypes(
  slot: string,
  group: readonly Placement[],
  choice: WeightChoice,
): { readonly dtype: WeightDType; readonly members: Placement[] }[] {
  const runs: { dtype: WeightDType; members: Placement[] }[] = [];
  for (const placement of group) {
    const dtype = choice === "stored" ? KEPT_AS[placement.tensor.dtype] : choice;
    const last = runs.at(-1);
    if (last?.dtype === dtype) last.members.push(placement);
    else runs.push({ dtype, members: [placement] });
  }
  if (!slot.endsWith(".gateUp") || runs.length < 2) return runs;
  const dtype = FINEST_FIRST.find((one) => runs.some((run) => run.dtype === one))!;
  return [{ dtype, members: [...group] }];
}

/** Each holds the values of all that follow, but for q8 those of q4, to the error of its own rounding. */
const FINEST_FIRST: readonly WeightDType[] = ["f32", "f16", "q8", "q4"];
