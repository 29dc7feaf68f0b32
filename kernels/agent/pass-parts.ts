// What the passes of agent attention have in common: constants, uniforms, scratch and storage of a checked problem.
import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import type { WorkgroupRun } from "../../src/dispatch/cut-workgroups.js";
import type { ConstantValues, KernelModule } from "../../src/dispatch/kernel-module.js";
import { isVec4, layoutUniforms } from "../../src/dispatch/layout.js";
import type { KernelBindings } from "../../src/dispatch/pass.js";
import { knownConstants } from "../../src/dispatch/specialise.js";
import type { TensorLayout } from "../../src/dispatch/tensor-view.js";
import type { UniformValues } from "../../src/dispatch/uniforms.js";
import type { BINDINGS } from "./bindings.js";
import type { Windows } from "./grids.js";
import { type AgentShape, isUpsampled } from "./problem.js";
import { queryLines } from "./sizes.js";

/** What a pass has to bind; its uniforms stand apart. */
export type Bindings<Kernel extends keyof typeof BINDINGS> = KernelBindings<typeof BINDINGS, Kernel>;

/** Slots of the context's scratch, and bytes for one split where splits matter. */
export function scratchOf({ entries, heads, agents, headDim, valueDim }: AgentShape, splits: number) {
  const rows = entries * heads * agents;
  const vec4Bytes = (dim: number) => 16 * Math.ceil(dim / 4);
  return {
    partialOut: { scratch: 0, bytes: rows * splits * vec4Bytes(valueDim) },
    partialState: { scratch: 1, bytes: rows * splits * 8 },
    agents: { scratch: 2, bytes: rows * vec4Bytes(headDim) },
    agentValues: { scratch: 3, bytes: rows * vec4Bytes(valueDim) },
    taps: { scratch: 4, bytes: heads * 10 * vec4Bytes(valueDim) },
  } as const;
}

/** @throws AttentionError "limit" when a scratch buffer is more than one binding holds */
export function checkScratch(scratch: ReturnType<typeof scratchOf>, { limits }: Capabilities): void {
  const limit = limits.maxStorageBufferBindingSize;
  const bytes = Math.max(...Object.values(scratch).map((slot) => slot.bytes));
  if (bytes <= limit) return;
  fail(
    "limit",
    "scratch memory of the agents",
    `at most ${limit} bytes (the device's maxStorageBufferBindingSize)`,
    `${bytes} bytes`,
    "Split batch or heads over several calls, or raise maxDispatchMs.",
  );
}

/** The constants of the shared WGSL files, as far as a kernel uses them: the linker drops the others. */
export function problemConstants(shape: AgentShape, kernel: KernelModule): ConstantValues {
  const { depthwise } = shape;
  const values = {
    HEAD_DIM: shape.headDim,
    VALUE_DIM: shape.valueDim,
    WINDOWED: shape.windows !== undefined,
    HAS_AGENT_BIAS: shape.agentBias !== undefined,
    HAS_QUERY_BIAS: shape.queryBias !== undefined,
    HAS_DEPTHWISE: depthwise !== undefined,
    HAS_SHORTCUT: shape.shortcut !== undefined,
    UPSAMPLED: isUpsampled(depthwise),
  };
  return knownConstants(kernel, values);
}

const ONE: TensorLayout = { dtype: "f32", shape: [1, 1, 1, 1] };

/** Uniforms of a dispatch that takes `run.count` workgroups of the problem, from `run.first` on. */
export function problemUniforms(
  shape: AgentShape,
  capabilities: Capabilities,
  run: Pick<WorkgroupRun, "first" | "count">,
): UniformValues {
  const { q, k, v, out, agentBias = ONE, queryBias = ONE, depthwise, windows } = shape;
  const [gridRows, gridColumns] = queryLines(shape);
  const [valueRows, valueColumns] = depthwise?.keyGrid ?? [1, 1];
  return {
    ...layoutUniforms({ q, k, v, out, agent_bias: agentBias, query_bias: queryBias }, capabilities),
    ...windowUniforms(windows),
    entries: shape.entries,
    heads: shape.heads,
    tokens_q: shape.tokensQ,
    tokens_k: shape.tokensK,
    agents: shape.agents,
    scale: shape.scale,
    second_scale: shape.secondScale,
    shortcut: shape.shortcut ?? 0,
    class_tokens: depthwise?.classTokens ?? 0,
    grid_rows: gridRows,
    grid_columns: gridColumns,
    value_rows: valueRows,
    value_columns: valueColumns,
    value_pitch: windows?.image[1] ?? valueColumns,
    first_group: run.first,
    groups: run.count,
  };
}

export function windowUniforms(windows: Windows | undefined): UniformValues {
  if (!windows) return { windows: [1, 1, 1, 1], windows_per_image: 1 };
  const { across, size, image, perImage } = windows;
  return { windows: [across, ...size, image[1]], windows_per_image: perImage };
}

/** `vec4` where every row of all these tensors starts at a multiple of four elements and its channels are neighbours. */
export function vec4Condition(capabilities: Capabilities, ...layouts: readonly TensorLayout[]): string[] {
  return layouts.every((layout) => isVec4(layout, capabilities)) ? ["vec4"] : [];
}
