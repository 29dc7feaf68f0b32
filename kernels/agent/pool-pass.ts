import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import { bytesOf } from "../../src/dispatch/layout.js";
import type { BindingSource, Pass } from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import { variantKey } from "../../src/dispatch/specialise.js";
import { type Shape4, stridesOf, type TensorLayout } from "../../src/dispatch/tensor-view.js";
import { bindingRange } from "../../src/dispatch/validate.js";
import { area, type CheckedPool, type Windows } from "./grids.js";
import { type Bindings, vec4Condition, windowUniforms } from "./pass-parts.js";
import pool from "./pool.wgsl";

/** What `pool.wgsl` reads and writes. */
export interface PoolSources {
  /** [B, N, H, D], bound as the tensor `name`. */
  readonly x: TensorLayout & { readonly name: string };
  readonly bins: CheckedPool;
  readonly windows: Windows | undefined;
  /** [entries, n, H, D], or rows of whole vec4 that the passes after this one read. */
  readonly agents: TensorLayout;
  readonly target: BindingSource;
}

/** Time of reading an element, in additions; a few threads read alone. */
const READ = 4;

/** The passes that pool; none of them holds more than `maxDispatchFlops`. */
export function poolPasses(
  { x, bins, windows, agents, target }: PoolSources,
  capabilities: Capabilities,
  maxDispatchFlops: number,
): Pass[] {
  const [entries, count, heads, outDim] = agents.shape;
  const headDim = x.shape[3];
  const binTokens = Math.ceil(bins.grid[0] / bins.bins[0] + 1) * Math.ceil(bins.grid[1] / bins.bins[1] + 1);
  const group = {
    work: READ * headDim * Math.min(binTokens, area(bins.grid)),
    flops: (area(bins.grid) * headDim) / count,
  };
  const uniforms = {
    strides_x: stridesOf(x),
    strides_agents: stridesOf(agents),
    ...windowUniforms(windows),
    base_x: bindingRange(x, capabilities).base,
    base_agents: bindingRange(agents, capabilities).base,
    heads,
    class_tokens: bins.classTokens,
    rows: bins.grid[0],
    columns: bins.grid[1],
    bin_rows: bins.bins[0],
    bin_columns: bins.bins[1],
  };
  return runPasses(
    {
      name: "agent/pool",
      kernel: pool,
      variant: variantKey(pool, [...vec4Condition(capabilities, x), ...(x.dtype === "f16" ? ["half"] : [])]),
      constants: {
        ...{ HEAD_DIM: headDim, OUT_DIM: outDim, WINDOWED: windows !== undefined },
        // A driver on a CPU loses more at a barrier than sharing out a bin gains.
        ...{ LANES: 16, PARTS: capabilities.software ? 1 : 4 },
      },
      bindings: { x: { tensor: x.name }, agents: target } satisfies Bindings<"pool">,
    },
    ({ first, count: groups }) => ({ params: { ...uniforms, first_group: first, groups } }),
    capabilities,
    cutWorkgroups([group], entries * heads * count, maxDispatchFlops),
    bytesOf(x, agents),
  );
}

/** Rows of agents as the other passes read them: [entries, heads, agents, dim] f32, whole vec4. */
export function agentRows(shape: Shape4): TensorLayout {
  const [entries, agents, heads, headDim] = shape;
  const dim = 4 * Math.ceil(headDim / 4);
  return {
    dtype: "f32",
    shape: [entries, agents, heads, dim],
    strides: [heads * agents * dim, dim, agents * dim, 1],
  };
}
