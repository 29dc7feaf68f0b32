export type { Bindable, BoundPlan } from "./dispatch/bound-plan.js";
export type { AdapterDescription, Capabilities, CapabilityLimits } from "./dispatch/capabilities.js";
export { AttentionContext } from "./dispatch/context.js";
export { AttentionError, type AttentionErrorCode, type AttentionErrorDetails } from "./dispatch/errors.js";
export type { Pass, PassCost } from "./dispatch/pass.js";
export type { PassTiming, Profiler } from "./dispatch/profiler.js";
export { q8Layout } from "./dispatch/q8-layout.js";
export type { DType, Shape4, TensorLayout, TensorView } from "./dispatch/tensor-view.js";
export type { TuningProgress } from "./dispatch/tuning/candidate.js";
export type { TuningEntry, TuningProfile } from "./dispatch/tuning/profile.js";
export {
  fileTuningStore,
  indexedDbTuningStore,
  memoryTuningStore,
  type TuningStore,
} from "./dispatch/tuning/store.js";
export type { Tuner } from "./dispatch/tuning/tuner.js";
