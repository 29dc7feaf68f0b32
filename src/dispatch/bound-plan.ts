/**
 * A plan with its tensors, for loops that record the same again and again: nothing is checked or allocated any more.
 *
 * ```ts
 * const bound = plans.map(({ plan, tensors }) => plan.bind(tensors)); // once
 * for (const { prepare } of bound) prepare(encoder);
 * const compute = encoder.beginComputePass(); // one for all of them
 * for (const plan of bound) plan.dispatch(compute);
 * compute.end();
 * ```
 */
export interface BoundPlan {
  /**
   * Copies the buffers of the application's that the plan reads through tables of its own (`keyLengths`, `keyMask`, ...), outside of compute passes.
   * What it copies must not be written by what is dispatched between it and this plan. All bindings of one plan have the same function, which has to be called once.
   */
  readonly prepare: (encoder: GPUCommandEncoder) => void;
  /**
   * Adds the dispatches to a compute pass, which may hold those of other plans: they run in order and see each other's writes.
   *
   * @throws AttentionError "disposed", "device-lost"
   */
  dispatch(compute: GPUComputePassEncoder): void;
}

/** What plans that are dispatches and nothing else offer besides `record`. */
export interface Bindable<Tensors> {
  /**
   * Checks tensors as `record` does, and makes their bind groups. They are bound as long as the plan and their buffers live.
   *
   * @throws AttentionError as `record`
   */
  readonly bind: (tensors: Tensors) => BoundPlan;
}

/** The `prepare` of plans that copy nothing. */
export function nothingToPrepare(): void {}

/** Bound plans that run one after the other, as one; none may write what another one's `prepare` copies. */
export function joinBound(parts: readonly BoundPlan[]): BoundPlan {
  const copying = parts.map(({ prepare }) => prepare).filter((prepare) => prepare !== nothingToPrepare);
  const prepares = [...new Set(copying)];
  return {
    prepare:
      prepares.length === 0
        ? nothingToPrepare
        : (encoder) => {
            for (const prepare of prepares) prepare(encoder);
          },
    dispatch(compute) {
      for (const part of parts) part.dispatch(compute);
    },
  };
}
