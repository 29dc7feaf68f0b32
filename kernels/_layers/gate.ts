import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { broadcastLayout, bytesOf, checkBindable } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import type { TensorLayout, TensorView } from "../../src/dispatch/tensor-view.js";
import { checkOptions } from "../../src/dispatch/validate.js";
import { ACTIVATIONS, type Activation, checkActivation } from "./activations.js";
import kernel from "./gate.wgsl";
import { compileLayer, type LayerPlan } from "./layer-plan.js";
import { checkRows, checkShape } from "./layouts.js";
import { viewUniforms } from "./prologue.js";

export interface GateProblem {
  /** [B, T, 1, dim] */
  readonly x: TensorLayout;
  /** [1 or B, 1 or T, 1, 1 or dim]. Default none, which multiplies by 1. */
  readonly gate?: TensorLayout;
  /** Of the gate; refused without one. Default `"none"`. */
  readonly activation?: Activation;
  /** [B, T, 1, dim], added last. Default none. */
  readonly residual?: TensorLayout;
  /** [B, T, 1, dim]. Default dense. */
  readonly out?: TensorLayout;
}

export interface GateTensors {
  readonly x: TensorView;
  /** Given when it was planned; likewise the residual. */
  readonly gate?: TensorView;
  readonly residual?: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
}

type GateShape = GateProblem & Required<Pick<GateProblem, "activation" | "out">>;

const THREADS = 64;

/**
 * Plans out = x activation(gate) + residual, element by element: `"none"` is the gate of TransNormerLLM (arXiv 2307.14995) and its SGLU,
 * `"silu"` SwiGLU's (arXiv 2002.05202), `"sigmoid"` that of lightning attention's module. Products have both built in (`planMatmul`); this is for
 * what stands between them.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planGate(ctx: AttentionContext, problem: GateProblem): Promise<LayerPlan<GateTensors>> {
  const shape = checkGate(problem, ctx.capabilities);
  return compileLayer(ctx, gatePass(shape, ctx.capabilities), {
    x: { layout: shape.x },
    ...(problem.gate && { gate: { layout: problem.gate } }),
    ...(shape.residual && { residual: { layout: shape.residual } }),
    out: { layout: shape.out, output: true },
  });
}

function checkGate(problem: GateProblem, capabilities: Capabilities): GateShape {
  checkOptions("gate", problem, ["x", "gate", "activation", "residual", "out"]);
  const { x, residual, activation = "none" } = problem;
  checkRows("x", x);
  const out = problem.out ?? { dtype: "f32", shape: x.shape };
  const axes = "Gates have the axes [batch, tokens, 1, channels].";
  const gate = problem.gate && broadcastLayout("gate", problem.gate, x.shape, axes);
  if (residual) checkShape("residual", residual, x.shape);
  checkShape("out", out, x.shape);
  checkBindable({ x, gate, residual, out }, capabilities);
  checkActivation("gate activation", activation);
  if (problem.activation !== undefined && !gate)
    fail("unsupported", "gate activation", "a gate that it is of", "none", "Give a gate, or leave it out.");
  return { x, activation, out, ...(gate && { gate }), ...(residual && { residual }) };
}

/** The pass of a checked problem. Pure. */
export function gatePass(
  { x, gate, activation, residual, out }: GateShape,
  capabilities: Capabilities,
): Pass {
  const [batches, tokens, , dim] = x.shape;
  const groups = Math.ceil((batches * tokens * dim) / THREADS);
  return {
    name: "layers/gate",
    kernel,
    variant: "base",
    constants: {
      THREADS,
      HAS_GATE: gate !== undefined,
      HAS_RESIDUAL: residual !== undefined,
      ACTIVATION: ACTIVATIONS.indexOf(activation),
    },
    workgroups: spreadWorkgroups(groups, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: {
      x: { tensor: "x" },
      gate: gate ? { tensor: "gate" } : { unused: true },
      residual: residual ? { tensor: "residual" } : { unused: true },
      out: { tensor: "out" },
    },
    uniforms: {
      params: {
        ...viewUniforms({ x, gate, residual, out }, capabilities),
        batches,
        tokens,
        dim,
      },
    },
    cost: { flops: 2 * batches * tokens * dim, bytes: bytesOf(x, gate, residual, out) },
  };
}
