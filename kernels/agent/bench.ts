import { normalArray, randomSource } from "../../test/support/random.js";
import type { BenchEntry, MechanismBench } from "../_bench/mechanism-bench.js";
import { planEntry, recorded } from "../_bench/plan-entry.js";
import { softmaxEntry } from "../_bench/softmax-entry.js";
import { expectedOutput, makeCaseInputs } from "./case-inputs.js";
import { type AgentCase, TOLERANCE_F32 } from "./cases.js";
import { problemOf } from "./check-case.js";
import { type AgentTensors, planAgentAttention } from "./index.js";

const DIM = 64;
/** Biases for every head, agent and token, the same for all batch entries. */
const FULL = [false, true, true, true] as const;

/** 49 agents pooled from an image of `side` x `side` tokens, with both biases and the depthwise term. */
function agent(side: number, heads: number): BenchEntry {
  const tokens = side * side;
  const grid = [side, side] as const;
  const problem: AgentCase = {
    name: "bench",
    batches: 1,
    tokensQ: tokens,
    tokensK: tokens,
    heads,
    agents: 49,
    headDim: DIM,
    valueDim: DIM,
    dtype: "f32",
    outDtype: "f32",
    agentDtype: "f32",
    options: { agentBias: FULL, queryBias: FULL, depthwise: { grid, bias: true }, pool: { grid, pool: 7 } },
  };
  return {
    name: `agent, ${tokens} tokens, ${heads} head${heads > 1 ? "s" : ""}`,
    rows: tokens * heads,
    async prepare(ctx) {
      const random = randomSource(1);
      const inputs = makeCaseInputs(problem, () => normalArray(1, random)[0]!);
      const views = Object.fromEntries(
        Object.entries(inputs).map(([name, { data, shape }]) => [name, ctx.fromArray(data, shape)]),
      ) as Omit<AgentTensors, "out">;
      const tensors: AgentTensors = { ...views, out: ctx.empty([1, tokens, heads, DIM]) };
      const plan = await planAgentAttention(ctx, problemOf(problem, { ...tensors }));
      const expected = () => {
        const values = expectedOutput(problem, inputs);
        return [{ view: tensors.out, values, places: Array.from({ length: values.length }, (_, i) => i) }];
      };
      const buffers = Object.values(tensors).flatMap((view) => (view ? [view.buffer] : []));
      return planEntry(ctx, [recorded(plan, tensors)], [tensors.out], expected, TOLERANCE_F32, buffers);
    },
  };
}

/** Agent attention with D = 64 and 49 agents against full softmax attention of the same shape, and its time per row. */
export default {
  rows: [
    ...[1, 8].map((heads) => ({
      name: `4096 tokens, ${heads} head${heads > 1 ? "s" : ""}`,
      compare: "speedup" as const,
      entries: [softmaxEntry(4096, heads, DIM, false), agent(64, heads)],
    })),
    {
      name: "scaling",
      compare: "time per row",
      // From 8,192 tokens on one head is enough to keep a device busy; shorter sequences have eight.
      entries: [32, 64, 128].map((side) => agent(side, side < 90 ? 8 : 1)),
    },
  ],
} satisfies MechanismBench;
