/**
 * Mixture-of-head attention: a router activates some of a layer's heads for each token, and only these are computed.
 * `mixtureOfHeadAttention` once, `planMixtureOfHeadAttention` for hot loops. Its parts can be had by themselves: the router
 * (`routeHeads`), softmax attention on the rows that it lists (`queryRows`), and the projection of the active heads (`projectHeads`).
 */
export type { HeadChoice } from "./head-choice.js";
export {
  type MixtureOfHeadCallOptions,
  type MixtureOfHeadPlan,
  type MixtureOfHeadTensors,
  mixtureOfHeadAttention,
  planMixtureOfHeadAttention,
} from "./mixture.js";
export type { MixtureOfHeadOptions, MixtureOfHeadProblem, MixtureOfHeadWeights } from "./mixture-problem.js";
export {
  type HeadProjectionPlan,
  type HeadProjectionTensors,
  type ProjectCallOptions,
  planHeadProjection,
  projectHeads,
} from "./projection.js";
export type { HeadProjectionProblem } from "./projection-problem.js";
export {
  type HeadRouterPlan,
  type HeadRouterTensors,
  planHeadRouter,
  type RouteCallOptions,
  type Routed,
  routeHeads,
} from "./router.js";
export type { HeadRouterProblem, RouterKind, RouterOptions, RouterWeights } from "./router-problem.js";
