import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { bytesOf } from "../../src/dispatch/layout.js";
import type { Pass } from "../../src/dispatch/pass.js";
import { powerOfTwo } from "../../src/dispatch/power-of-two.js";
import { blockPasses } from "./block-form.js";
import { type LinearCore, sizesOf } from "./core.js";
import { dispatches, UNIFORM_HEADS } from "./dispatches.js";
import recurrent from "./recurrent.wgsl";
import serial from "./serial.wgsl";

/** At most so many tokens go one after another through a state that is read and written once. */
export const RECURRENT_TOKENS = 16;
/** Workgroups with a slice of a head each that fill a GPU without cutting the tokens. */
const MANY_WORKGROUPS = 1024;

/** Chooses passes, variants and constants. Pure: the same problem gives the same passes. */
export function planCore(
  core: LinearCore,
  capabilities: Capabilities,
  maxDispatchFlops = Number.POSITIVE_INFINITY,
): Pass[] {
  const { tokens, heads } = sizesOf(core);
  const forward = core.causal && !core.backwards && core.raw === undefined && heads <= UNIFORM_HEADS;
  if (forward && tokens <= RECURRENT_TOKENS) return recurrentPasses(core, capabilities, maxDispatchFlops);
  if (forward && headsFill(core, capabilities, maxDispatchFlops))
    return serialPasses(core, capabilities, maxDispatchFlops);
  return blockPasses(core, capabilities, maxDispatchFlops);
}

function recurrentPasses(core: LinearCore, capabilities: Capabilities, maxFlops: number): Pass[] {
  const { batches, heads, tokens, headDim, valueDim, stateBytes } = sizesOf(core);
  const columns = Math.ceil(valueDim / 4);
  // Few columns a workgroup, so that the heads of one token fill a GPU.
  const COLUMNS = Math.min(4, powerOfTwo(columns));
  const groups = batches * heads * Math.ceil(columns / COLUMNS);
  const { q, k, v, out } = core;
  const states = Number(core.initial !== undefined) + Number(core.final !== undefined);
  return dispatches(core, capabilities, maxFlops, {
    kernel: recurrent,
    constants: { COLUMNS, TOKENS: tokens, ...(capabilities.software && { THREADS: COLUMNS }) },
    unroll: { TOKENS: tokens },
    work: {
      groups,
      flops: (batches * heads * tokens * 4 * headDim * valueDim) / groups,
      bytes: bytesOf(q.layout, k.layout, v.layout, out.layout) + states * batches * heads * stateBytes,
    },
  });
}

/** How many vec4 columns of a state fit in workgroup memory beside the products of a block, and what a workgroup does. */
function serialSizes(core: LinearCore, { limits }: Capabilities) {
  const { tokens, headDim, valueDim } = sizesOf(core);
  const rows = 4 * Math.ceil(headDim / 4);
  const columns = Math.ceil(valueDim / 4);
  const rest = 4 * (16 * 16 + 17 + rows);
  const COLUMNS = Math.min(
    columns,
    8,
    Math.floor((limits.maxComputeWorkgroupStorageSize - rest) / (16 * rows)),
  );
  const width = Math.min(4 * COLUMNS, valueDim);
  const flops = tokens * (4 * headDim * width + 17 * (headDim + width));
  return { COLUMNS, slices: Math.ceil(columns / COLUMNS), flops };
}

/** Whether heads alone fill the GPU: then nothing but inputs and outputs need go through memory. */
function headsFill(core: LinearCore, capabilities: Capabilities, maxFlops: number): boolean {
  const { batches, heads } = sizesOf(core);
  const { slices, flops } = serialSizes(core, capabilities);
  // A workgroup goes through all tokens and cannot be cut, so a dispatch has to have room for enough of them.
  return (
    !capabilities.software &&
    MANY_WORKGROUPS * flops <= maxFlops &&
    batches * heads * slices >= MANY_WORKGROUPS
  );
}

/** @internal The form whose state stays in workgroup memory, for tests on any device. */
export function serialPasses(core: LinearCore, capabilities: Capabilities, maxFlops: number): Pass[] {
  const { batches, heads, stateBytes } = sizesOf(core);
  const { COLUMNS, slices, flops } = serialSizes(core, capabilities);
  const { q, k, v, out } = core;
  return dispatches(core, capabilities, maxFlops, {
    kernel: serial,
    constants: { COLUMNS },
    work: {
      groups: batches * heads * slices,
      flops,
      bytes: bytesOf(q.layout, k.layout, v.layout, out.layout) + 2 * batches * heads * stateBytes,
    },
  });
}
