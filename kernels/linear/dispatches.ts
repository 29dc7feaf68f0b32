import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { cutWorkgroups, type WorkgroupRun } from "../../src/dispatch/cut-workgroups.js";
import type { ConstantValues, KernelModule } from "../../src/dispatch/kernel-module.js";
import type { BindingSource, Pass } from "../../src/dispatch/pass.js";
import { runPasses } from "../../src/dispatch/run-passes.js";
import type { UniformValues } from "../../src/dispatch/uniforms.js";
import { coreBindings, coreConstants, coreUniforms, coreVariant, type LinearCore } from "./core.js";

/** Heads whose factors fit in the uniform of `decay_factors.wgsl`. */
export const UNIFORM_HEADS = 256;

/** A kernel's share of a problem: `groups` workgroups of `flops` each. */
export interface Work {
  readonly groups: number;
  readonly flops: number;
  readonly bytes: number;
}

export interface Draft {
  readonly kernel: KernelModule;
  readonly work: Work;
  readonly constants?: ConstantValues;
  readonly uniforms?: Record<string, number>;
  readonly scratch?: Record<string, BindingSource>;
  readonly unroll?: Record<string, number>;
}

/** The dispatches of one kernel, as many as the bound asks for. */
export function dispatches(
  core: LinearCore,
  capabilities: Capabilities,
  maxFlops: number,
  draft: Draft,
): Pass[] {
  const { kernel, work, constants = {}, uniforms = {}, scratch = {}, unroll } = draft;
  const { bindings } = kernel.variants.base!;
  const sources: Record<string, BindingSource> = { ...coreBindings(core), ...scratch };
  const storage = bindings.filter(({ type }) => type !== "uniform").map(({ name }) => name);
  const decay = bindings.some(({ name }) => name === "decay") && { decay: uniformDecay(core.decay) };
  const pass = {
    name: `${core.label}/${kernel.name.split("/")[1]}`,
    kernel,
    variant: coreVariant(core, kernel, capabilities),
    constants: coreConstants(core, kernel, constants),
    ...(unroll && { unroll }),
    bindings: Object.fromEntries(storage.map((name) => [name, sources[name]!])),
  };
  const params = { ...coreUniforms(core, capabilities), first_block: 0, ...uniforms };
  const uniformsOf = ({ first, count }: WorkgroupRun) => ({
    params: { ...params, first_group: first, groups: count },
    ...decay,
  });
  const runs = cutWorkgroups([{ work: work.flops, flops: work.flops }], work.groups, maxFlops);
  return runPasses(pass, uniformsOf, capabilities, runs, work.bytes);
}

/** What a token and what 16 tokens take from each head's state, λ^n - 1: differences keep what f32 would round off next to 1. */
function uniformDecay(decay: readonly number[]): UniformValues {
  const losses = (tokens: number) =>
    Array.from({ length: UNIFORM_HEADS }, (_, head) => Math.expm1(-tokens * (decay[head] ?? 0)));
  return { losses: losses(1), span_losses: losses(16) };
}
