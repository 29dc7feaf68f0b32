import type { BoundPlan, PassCost } from "webgpu-attention";
import type { SequenceState } from "./sequence-state.js";
import type { Step } from "./step.js";

/** What the steps of a forward pass, or some of them, take together. */
export interface StepCost {
  readonly dispatches: number;
  /** As their plans say: bytes of each tensor once, of caches those of all places. */
  readonly cost: PassCost;
}

/** Plans that follow each other in one compute pass, or a step that records for itself. */
type Part =
  | { readonly prepares: readonly BoundPlan["prepare"][]; readonly plans: readonly BoundPlan[] }
  | Step;

/** Without a state, tensors are the same in every run. */
const STATELESS = { turn: 0, layers: [] } as const;

/**
 * The steps of a forward pass, in their order. Their tensors are bound at the first run with a state, for each of its turns; from then on a run
 * allocates nothing, checks nothing, copies a table once that several plans have in common, and begins a compute pass only behind a step that records for itself.
 *
 * `layers` of a state are other objects when its buffers are.
 */
export class StepList implements StepCost {
  readonly #steps: readonly Step[];
  readonly #bound = new WeakMap<object, [Part[]?, Part[]?]>();
  readonly dispatches: number;
  readonly cost: PassCost;

  constructor(steps: readonly Step[]) {
    this.#steps = steps;
    const { dispatches, cost } = sumSteps(steps);
    this.dispatches = dispatches;
    this.cost = cost;
  }

  record(encoder: GPUCommandEncoder, state?: SequenceState): void {
    for (const part of this.#partsOf(state)) {
      if ("record" in part) {
        part.record(encoder, state);
        continue;
      }
      for (const prepare of part.prepares) prepare(encoder);
      const compute = encoder.beginComputePass(COMPUTE_PASS);
      for (const plan of part.plans) plan.dispatch(compute);
      compute.end();
    }
  }

  destroy(): void {
    for (const step of this.#steps) step.destroy();
  }

  #partsOf(state: SequenceState | undefined): Part[] {
    const { turn, layers } = state ?? STATELESS;
    let turns = this.#bound.get(layers);
    if (!turns) {
      turns = [];
      this.#bound.set(layers, turns);
    }
    const known = turns[turn] ?? this.#bind(state);
    turns[turn] = known;
    return known;
  }

  #bind(state: SequenceState | undefined): Part[] {
    const parts: (Part | BoundPlan[])[] = [];
    for (const step of this.#steps) {
      const last = parts.at(-1);
      if (!step.bind) parts.push(step);
      else if (Array.isArray(last)) last.push(step.bind(state));
      else parts.push([step.bind(state)]);
    }
    return parts.map((part) =>
      Array.isArray(part)
        ? { plans: part, prepares: [...new Set(part.map(({ prepare }) => prepare))] }
        : part,
    );
  }
}

const COMPUTE_PASS: GPUComputePassDescriptor = { label: "forward pass" };

export function sumSteps(steps: readonly StepCost[]): StepCost {
  const sum = (of: (step: StepCost) => number) => steps.reduce((total, step) => total + of(step), 0);
  return {
    dispatches: sum(({ dispatches }) => dispatches),
    cost: { flops: sum(({ cost }) => cost.flops), bytes: sum(({ cost }) => cost.bytes) },
  };
}
