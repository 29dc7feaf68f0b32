import {
  planSoftmaxAttention,
  type SoftmaxConfiguration,
  tuneSoftmaxAttention,
} from "../../kernels/softmax/index.js";
import { AttentionContext, memoryTuningStore } from "../../src/index.js";

export interface TuningCheck {
  /** Why each candidate was dropped. */
  readonly dropped: readonly string[];
  readonly measured: number;
  /** Kernel of the winner, and the kernel that a plan took afterwards. */
  readonly winner: string;
  readonly planned: string;
}

// Rolled loops compile fast; what is checked is the measuring.
const CANDIDATES: readonly SoftmaxConfiguration[] = [
  { kernel: "tiled", groups: 8, lanes: 4, rows: 2, keys: 4, staged: false, f16: false },
  { kernel: "rows", threads: 8, rows: 2, keys: 8, columns: 4, subgroups: false, unroll: false, f16: false },
  { kernel: "split", threads: 16, keysPerSplit: 100, f16: false },
];

/** Measures candidates for a small problem, then plans it in the same context, which finds the choice. */
export async function measureCandidates(device: GPUDevice): Promise<TuningCheck> {
  const ctx = await AttentionContext.create(device, { tuning: memoryTuningStore() });
  const layout = { dtype: "f32", shape: [1, 64, 2, 16] } as const;
  const problem = { q: layout, k: layout, v: layout, causal: true };
  const { dropped, measured, winner } = await tuneSoftmaxAttention(ctx, problem, { candidates: CANDIDATES });
  const plan = await planSoftmaxAttention(ctx, problem);
  const planned = plan.passes[0]!.name;
  plan.destroy();
  ctx.destroy();
  return {
    dropped: dropped.map(({ name, reason }) => `${name}: ${reason}`),
    measured: measured.length,
    winner: `softmax/${winner.candidate.kernel}`,
    planned,
  };
}
