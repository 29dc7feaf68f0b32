// What the passes of a shift have in common.
import { layoutUniforms } from "../../../src/dispatch/layout.js";
import type { KernelBindings, Pass } from "../../../src/dispatch/pass.js";
import type { TensorLayout } from "../../../src/dispatch/tensor-view.js";
import type { UniformValues } from "../../../src/dispatch/uniforms.js";
import { aroundPasses, type Device, type Draft } from "../around-passes.js";
import type { BINDINGS } from "./bindings.js";
import type { OperationTable } from "./operation-table.js";
import type { ShiftShape } from "./problem.js";

/** What a pass has to bind; its uniforms stand apart. */
export type Bindings<Kernel extends keyof typeof BINDINGS> = Omit<
  KernelBindings<typeof BINDINGS, Kernel>,
  "shift"
>;

/** Attention to some of the keys by itself: output [B, Tq, Hq, Dv] dense of q's type, and log-sum-exp [B, Hq, Tq] f32. */
export interface ShiftPart {
  readonly out: GPUBuffer;
  readonly lse: GPUBuffer;
}

/** Outputs over parts of the keys, where there are such. */
export interface ShiftParts {
  /** Over the recipients, which are the keys of all gates as well. */
  readonly recipients: ShiftPart;
  /** Over the other keys: then rows that may be shifted have no output over all keys. */
  readonly cut?: CutRows;
}

export interface CutRows {
  readonly before?: ShiftPart;
  readonly after?: ShiftPart;
  /** Row lists [B, Hq, 1 + Tq]: those that attend to all keys at once, and those that attend to the parts. */
  readonly wholeRows: GPUBuffer;
  readonly cutRows: GPUBuffer;
}

export interface ShiftPlanInputs extends Device {
  readonly shape: ShiftShape;
  readonly table: OperationTable;
  readonly lists: GPUBuffer;
  readonly parts?: ShiftParts;
}

/** The dispatches of one pass. */
export function dispatches(inputs: ShiftPlanInputs, draft: Omit<Draft, "uniforms">): Pass[] {
  return aroundPasses(
    inputs.shape.attention,
    { ...draft, uniforms: { shift: shiftUniforms(inputs) } },
    inputs,
  );
}

function shiftUniforms({ shape, table, capabilities }: ShiftPlanInputs): UniformValues {
  const none: TensorLayout = { dtype: "f32", shape: [1, 1, 1, 1] };
  const { hidden = none, sinks, shifts } = shape;
  return {
    ...layoutUniforms({ hidden }, capabilities),
    channels: hidden.shape[3],
    heads_at: table.headsAt,
    operations_at: table.operationsAt,
    sets_at: table.setsAt,
    probes_at: table.probesAt,
    operations: shifts.length,
    probes: table.probes,
    given_keys: sinks?.keys ?? 0,
  };
}
