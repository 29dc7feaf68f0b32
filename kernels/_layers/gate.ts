import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { bytesOf, checkBindable } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import { stridesOf, type TensorLayout, type TensorView } from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkOptions } from "../../src/dispatch/validate.js";
import { ACTIVATIONS, type Activation, checkActivation } from "./activations.js";
import kernel from "./gate.wgsl";
import { compileLayer, type LayerPlan } from "./layer-plan.js";
import { checkRows, checkShape } from "./layouts.js";

export interface GateProblem {
  /** [B, T, 1, dim] */
  readonly x: TensorLayout;
  /** [B, T, 1, dim] */
  readonly gate: TensorLayout;
  /** Of the gate. Default `"none"`. */
  readonly activation?: Activation;
  /** [B, T, 1, dim]. Default dense. */
  readonly out?: TensorLayout;
}

export interface GateTensors {
  readonly x: TensorView;
  readonly gate: TensorView;
  /** Written. Its buffer is none of the inputs'. */
  readonly out: TensorView;
}

type GateShape = Required<GateProblem>;

const THREADS = 64;

/**
 * Plans out = x activation(gate), element by element: `"none"` is the gate of TransNormerLLM (arXiv 2307.14995) and its SGLU,
 * `"silu"` SwiGLU's (arXiv 2002.05202), `"sigmoid"` that of lightning attention's module.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export async function planGate(ctx: AttentionContext, problem: GateProblem): Promise<LayerPlan<GateTensors>> {
  const shape = checkGate(problem, ctx.capabilities);
  return compileLayer(ctx, gatePass(shape, ctx.capabilities), {
    x: { layout: shape.x },
    gate: { layout: shape.gate },
    out: { layout: shape.out, output: true },
  });
}

function checkGate(problem: GateProblem, capabilities: Capabilities): GateShape {
  checkOptions("gate", problem, ["x", "gate", "activation", "out"]);
  const { x, gate, activation = "none" } = problem;
  checkRows("x", x);
  const out = problem.out ?? { dtype: "f32", shape: x.shape };
  checkShape("gate", gate, x.shape);
  checkShape("out", out, x.shape);
  checkBindable({ x, gate, out }, capabilities);
  checkActivation("gate activation", activation);
  return { x, gate, activation, out };
}

function gatePass({ x, gate, activation, out }: GateShape, capabilities: Capabilities): Pass {
  const [batches, tokens, , dim] = x.shape;
  const groups = Math.ceil((batches * tokens * dim) / THREADS);
  return {
    name: "layers/gate",
    kernel,
    variant: "base",
    constants: { THREADS, ACTIVATION: ACTIVATIONS.indexOf(activation) },
    workgroups: spreadWorkgroups(groups, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: { x: { tensor: "x" }, gate: { tensor: "gate" }, out: { tensor: "out" } },
    uniforms: {
      params: {
        strides_x: stridesOf(x),
        strides_gate: stridesOf(gate),
        strides_out: stridesOf(out),
        base_x: bindingRange(x, capabilities).base,
        base_gate: bindingRange(gate, capabilities).base,
        base_out: bindingRange(out, capabilities).base,
        batches,
        tokens,
        dim,
      },
    },
    cost: { flops: batches * tokens * dim, bytes: bytesOf(x, gate, out) },
  };
}
