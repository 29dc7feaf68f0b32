import { AttentionError } from "webgpu-attention";
import { runDeconstructed } from "../interventions/deconstructed.js";
import { runGift } from "../interventions/gift.js";
import { runGuidance } from "../interventions/guidance.js";
import { runAttentionInfluence, runHeadHunter } from "../interventions/head-search.js";
import { runActToolkit, runVar } from "../interventions/sink-calibration.js";
import { runSinkLogits } from "../interventions/sink-logits.js";
import { runHeadMask, runSoftPagIdentity, runSoftPagVariants } from "../interventions/softpag.js";
import { runAttentionStats, runWaadFai, runWaadFaiSmall } from "../interventions/statistics.js";
import { runStreamingCache } from "../interventions/streaming-cache.js";
import type { Mechanism } from "../mechanism.js";

/** By the beginning of a case's name. */
const RUNNERS: Readonly<Record<string, Mechanism>> = {
  headhunter_select: runHeadHunter,
  attention_influence: runAttentionInfluence,
  softpag_guidance: runGuidance,
  softpag_identity: runSoftPagIdentity,
  softpag_variants: runSoftPagVariants,
  headmask_causal: runHeadMask,
  act_toolkit: runActToolkit,
  var_: runVar,
  gift: runGift,
  sink_logits: runSinkLogits,
  streaming_cache: runStreamingCache,
  attention_stats: runAttentionStats,
  waad_fai_small: runWaadFaiSmall,
  waad_fai: runWaadFai,
  decon_variants: runDeconstructed,
};

const NOT_RUN: Readonly<Record<string, string>> = {
  act_decode_author: "one that documents faults of the authors' code that are not to be imitated",
  act_prefill_author: "one that documents faults of the authors' code that are not to be imitated",
  recsys_readouts: "recommender read-outs, which are not built",
};

const runIntervention: Mechanism = (ctx, testCase, buffers) => {
  const kindIn = (table: object) => Object.keys(table).find((kind) => testCase.name.startsWith(kind));
  const kind = kindIn(RUNNERS);
  if (kind) return RUNNERS[kind]!(ctx, testCase, buffers);
  const reason = kindIn(NOT_RUN);
  throw new AttentionError("unsupported", {
    subject: `case ${testCase.name}`,
    expected: "one that the package can run",
    got: reason ? NOT_RUN[reason]! : "one whose kernels are not built",
    fix: "Nothing was compared.",
  });
};

export default runIntervention;
