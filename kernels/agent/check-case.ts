import type { AttentionContext } from "../../src/dispatch/context.js";
import { elementCount, type TensorLayout, type TensorView } from "../../src/dispatch/tensor-view.js";
import { difference } from "../../test/support/compare.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { type AgentCaseInputs, expectedOutput, makeCaseInputs, shapesOf } from "./case-inputs.js";
import { type AgentCase, TOLERANCE_F16, TOLERANCE_F32 } from "./cases.js";
import { type AgentProblem, planAgentAttention } from "./index.js";

export interface CaseError {
  /** Relative to the largest reference value. */
  readonly error: number;
  readonly tolerance: number;
}

/** Runs a case into an output full of NaN and compares it with the float64 reference on inputs rounded to their storage. */
export async function checkCase(ctx: AttentionContext, problem: AgentCase): Promise<CaseError> {
  const random = randomSource(1);
  const inputs = makeCaseInputs(problem, () => normalArray(1, random)[0]!);
  const { dtype, outDtype, agentDtype } = problem;
  const upload = (name: string, { data, shape }: NonNullable<AgentCaseInputs["agents"]>) => {
    const type = name === "agents" ? agentDtype : ["q", "k", "v"].includes(name) ? dtype : "f32";
    return ctx.fromArray(data, shape, type);
  };
  const { out: shape } = shapesOf(problem);
  const nan = new Float32Array(elementCount(shape)).fill(Number.NaN);
  const views = Object.fromEntries(Object.entries(inputs).map(([name, data]) => [name, upload(name, data)]));
  const tensors = {
    ...(views as Record<"q" | "k" | "v", TensorView>),
    out: ctx.fromArray(nan, shape, outDtype),
  };

  const plan = await planAgentAttention(ctx, problemOf(problem, tensors));
  await ctx.submitChecked((encoder) => plan.record(encoder, tensors));
  const { maxRelative: error } = difference(await ctx.read(tensors.out), expectedOutput(problem, inputs));
  plan.destroy();
  for (const { buffer } of Object.values(tensors)) buffer.destroy();
  return { error, tolerance: outDtype === "f16" || dtype === "f16" ? TOLERANCE_F16 : TOLERANCE_F32 };
}

/** A case in the words of `planAgentAttention`. `tensors` are named as its `record` takes them. */
export function problemOf(
  {
    options: {
      hide: _hide,
      large: _large,
      pool,
      depthwise,
      agentBias: _first,
      queryBias: _second,
      ...options
    },
  }: AgentCase,
  tensors: Record<"q" | "k" | "v" | "out", TensorLayout> & Partial<Record<string, TensorLayout>>,
): AgentProblem {
  const { q, k, v, out, agents, agentBias, queryBias, depthwiseWeight, depthwiseBias } = tensors;
  return {
    ...options,
    ...{ q, k, v, out },
    agents: pool ?? agents!,
    ...(agentBias && { agentBias }),
    ...(queryBias && { queryBias }),
    ...(depthwise && {
      depthwise: {
        grid: depthwise.grid,
        ...(depthwise.keyGrid && { keyGrid: depthwise.keyGrid }),
        ...(depthwise.classToken && { classToken: true }),
        weight: depthwiseWeight!,
        ...(depthwiseBias && { bias: depthwiseBias }),
      },
    }),
  };
}
