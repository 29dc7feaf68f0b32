import { type CompiledPlan, compilePlan } from "../../src/dispatch/compiled-plan.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { dispatchFlops } from "../../src/dispatch/dispatch-budget.js";
import type { BindingSource } from "../../src/dispatch/pass.js";
import type { TensorView } from "../../src/dispatch/tensor-view.js";
import { type Memory, memoryBytes } from "./memory.js";
import type { SaleOptions } from "./options.js";
import { type PlanOptions, planSelection } from "./plan.js";
import type { SaleShape } from "./problem.js";
import { thresholdsTable } from "./thresholds.js";

/** Buffers that outlive the selection's passes: attention reads the lists, and people the rest. */
const HELD = [
  "means",
  "q_words",
  "q_scales",
  "k_words",
  "k_scales",
  "corrections",
  "states",
  "lists",
] as const;

type SelectionBuffers = Readonly<Record<(typeof HELD)[number], GPUBuffer>>;

/** The compiled selection, and the buffers that it fills. `destroy()` frees them. */
export interface SelectionPlan extends CompiledPlan<{ readonly q: TensorView; readonly k: TensorView }> {
  readonly buffers: SelectionBuffers;
}

/**
 * @param options default what suits the device
 * @throws AttentionError "shape", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function compileSelection(
  ctx: AttentionContext,
  shape: SaleShape,
  thresholds: SaleOptions["thresholds"],
  options: PlanOptions = {},
): Promise<SelectionPlan> {
  const table = thresholdsTable(shape.heads, thresholds);
  const { capabilities } = ctx;
  const bytes = memoryBytes(shape, capabilities);
  const maxDispatchFlops = options.maxDispatchFlops ?? dispatchFlops(capabilities, ctx.maxDispatchMs);
  const taken: GPUBuffer[] = [];
  const release = () => {
    for (const buffer of taken) ctx.scratch.release(buffer);
  };
  const hold = (name: (typeof HELD)[number]): GPUBuffer => {
    const buffer = ctx.scratch.hold(bytes[name]);
    taken.push(buffer);
    return buffer;
  };
  try {
    const buffers = Object.fromEntries(HELD.map((name) => [name, hold(name)])) as SelectionBuffers;
    const held = Object.entries(buffers).map(
      ([name, buffer]) => [name, { buffer }] as [string, BindingSource],
    );
    const memory = {
      ...Object.fromEntries(held),
      sums: { scratch: 0, bytes: bytes.sums },
      hits: { scratch: 1, bytes: bytes.hits },
    } as Memory;
    const plan = await compilePlan<{ readonly q: TensorView; readonly k: TensorView }>(ctx, {
      passes: planSelection(shape, capabilities, memory, { ...options, maxDispatchFlops }),
      specs: { q: { layout: shape.q }, k: { layout: shape.k } },
      tables: { thresholds: table },
      segmentFlops: maxDispatchFlops,
    });
    return {
      ...plan,
      buffers,
      destroy() {
        plan.destroy();
        release();
      },
    };
  } catch (error) {
    release();
    throw error;
  }
}
