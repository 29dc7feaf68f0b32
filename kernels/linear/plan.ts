import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import { cutWorkgroups } from "../../src/dispatch/cut-workgroups.js";
import type { ConstantValues, KernelModule } from "../../src/dispatch/kernel-module.js";
import { bytesOf } from "../../src/dispatch/layout.js";
import { type BindingSource, type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import blockStates from "./block_states.wgsl";
import {
  BLOCK,
  type CoreSizes,
  coreBindings,
  coreConstants,
  coreUniforms,
  coreVariant,
  type LinearCore,
  sizesOf,
} from "./core.js";
import outputRows from "./output_rows.wgsl";
import outputs from "./outputs.wgsl";
import recurrent from "./recurrent.wgsl";
import scan from "./scan.wgsl";
import serial from "./serial.wgsl";

/** At most so many tokens go one after another through a state that is read and written once. */
export const RECURRENT_TOKENS = 16;
/** Heads whose rates fit in the uniform of `decay_rates.wgsl`. */
const UNIFORM_HEADS = 256;
const THREADS = 64;
/** Workgroups with a slice of a head each that fill a GPU without cutting the tokens. */
const MANY_WORKGROUPS = 1024;
/** Bytes of block states that are held at once, at most. */
const STATE_BYTES = 2 ** 27;

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

/** A kernel's share of a problem: `groups` workgroups of `flops` each. */
interface Work {
  readonly groups: number;
  readonly flops: number;
  readonly bytes: number;
}

interface Draft {
  readonly kernel: KernelModule;
  readonly work: Work;
  readonly constants?: ConstantValues;
  readonly uniforms?: Record<string, number>;
  readonly scratch?: Record<string, BindingSource>;
  readonly unroll?: Record<string, number>;
}

/** The dispatches of one kernel, as many as the bound asks for. */
function dispatches(core: LinearCore, capabilities: Capabilities, maxFlops: number, draft: Draft): Pass[] {
  const { kernel, work, constants = {}, uniforms = {}, scratch = {}, unroll } = draft;
  const { bindings } = kernel.variants.base!;
  const sources: Record<string, BindingSource> = { ...coreBindings(core), ...scratch };
  const storage = bindings.filter(({ type }) => type !== "uniform").map(({ name }) => name);
  const decay = bindings.some(({ name }) => name === "decay") && {
    decay: { rates: uniformRates(core.decay) },
  };
  return cutWorkgroups([{ work: work.flops, flops: work.flops }], work.groups, maxFlops).map((run) => ({
    name: `${core.label}/${kernel.name.split("/")[1]}`,
    kernel,
    variant: coreVariant(core, kernel, capabilities),
    constants: coreConstants(core, kernel, constants),
    ...(unroll && { unroll }),
    workgroups: spreadWorkgroups(run.count, capabilities.limits.maxComputeWorkgroupsPerDimension),
    bindings: Object.fromEntries(storage.map((name) => [name, sources[name]!])),
    uniforms: {
      params: {
        ...coreUniforms(core, capabilities),
        first_block: 0,
        ...uniforms,
        first_group: run.first,
        groups: run.count,
      },
      ...decay,
    },
    cost: { flops: run.flops, bytes: (work.bytes * run.count) / work.groups },
  }));
}

function uniformRates(decay: readonly number[]): number[] {
  return Array.from({ length: UNIFORM_HEADS }, (_, head) => decay[head] ?? 0);
}

function recurrentPasses(core: LinearCore, capabilities: Capabilities, maxFlops: number): Pass[] {
  const { batches, heads, tokens, headDim, valueDim, stateBytes } = sizesOf(core);
  const columns = Math.ceil(valueDim / 4);
  // Few columns a workgroup, so that the heads of one token fill a GPU.
  const COLUMNS = Math.min(4, 2 ** Math.ceil(Math.log2(columns)));
  const groups = batches * heads * Math.ceil(columns / COLUMNS);
  const { q, k, v, out } = core;
  const states = Number(core.initial !== undefined) + Number(core.final !== undefined);
  return dispatches(core, capabilities, maxFlops, {
    kernel: recurrent,
    constants: { COLUMNS, TOKENS: tokens },
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
  // A workgroup goes through all tokens: it cannot be cut.
  return !capabilities.software && flops <= maxFlops && batches * heads * slices >= MANY_WORKGROUPS;
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

/** @internal Each block by itself, a scan over their states, then all blocks at once; in rounds where the states are too many. */
export function blockPasses(
  core: LinearCore,
  capabilities: Capabilities,
  maxFlops: number,
  stateLimit = STATE_BYTES,
): Pass[] {
  const sizes = sizesOf(core);
  const { batches, heads, blocks, stateBytes } = sizes;
  const problems = batches * heads;
  const limit = Math.min(stateLimit, capabilities.limits.maxStorageBufferBindingSize);
  const held = Math.min(blocks, Math.floor(limit / (problems * stateBytes)));
  if (held === 0) {
    fail(
      "limit",
      "state of one block of tokens",
      `at most ${limit} bytes`,
      `${problems * stateBytes} bytes`,
      "Split batch or heads over several calls.",
    );
  }
  const carry: BindingSource = { scratch: 1, bytes: problems * stateBytes };
  const rounds = Array.from({ length: Math.ceil(blocks / held) }, (_, n) => {
    const first = n * held;
    return { first, count: Math.min(held, blocks - first) };
  });
  const pass = (draft: Draft) => dispatches(core, capabilities, maxFlops, draft);
  const share = (layout: LinearCore["q"], count: number) => (bytesOf(layout.layout) * count) / blocks;

  const summed = rounds.map((round) => {
    const { first, count } = round;
    const states: BindingSource = { scratch: 0, bytes: problems * count * stateBytes };
    const uniforms = { blocks: count, first_block: first };
    const rows = Math.min(count * BLOCK, sizes.tokens - first * BLOCK);
    const tile = blockStateTile(sizes, capabilities);
    const stateWork = blockStateWork(sizes, count, rows, tile);
    const scanGroups = Math.ceil((problems * stateBytes) / 16 / THREADS);
    return {
      round,
      states,
      uniforms,
      passes: [
        ...pass({
          kernel: blockStates,
          work: { ...stateWork, bytes: share(core.k, count) + share(core.v, count) + states.bytes },
          uniforms,
          scratch: { states },
          constants: tile,
          unroll: tile,
        }),
        ...pass({
          kernel: scan,
          constants: { FIRST_ROUND: first === 0, LAST_ROUND: first + count === blocks },
          work: {
            groups: scanGroups,
            flops: (4 * count * problems * stateBytes) / 4 / scanGroups,
            bytes: 2 * states.bytes,
          },
          uniforms,
          scratch: { states, carry },
        }),
      ],
    };
  });
  const outputsOf = ({ round: { first, count }, states, uniforms }: (typeof summed)[number]) => {
    const rows = Math.min(count * BLOCK, sizes.tokens - first * BLOCK);
    const inputs = [
      core.q,
      ...(core.causal ? [core.k, core.v] : []),
      ...(core.raw ? [core.raw] : []),
      core.out,
    ];
    const groups = problems * count;
    const work = {
      groups,
      flops: outputFlops(sizes, rows, core.causal) / count,
      bytes: inputs.reduce(
        (sum, tensor) => sum + share(tensor, count),
        core.causal ? states.bytes : carry.bytes,
      ),
    };
    const scratch = { states: core.causal ? states : carry };
    if (!capabilities.software) {
      return pass({
        kernel: outputs,
        work,
        uniforms,
        scratch,
        unroll: { ROWS: 8, COLUMNS: 2, ROW_QUADS: 2 },
      });
    }
    const columns = Math.ceil(sizes.valueDim / 4);
    const COLUMNS = Math.min(columns, 16);
    const parts = Math.ceil(columns / COLUMNS) * (BLOCK / 32);
    return pass({
      kernel: outputRows,
      work: { ...work, groups: groups * parts, flops: work.flops / parts },
      constants: { COLUMNS },
      uniforms,
      scratch,
      unroll: { ROWS: 8, COLUMNS, OWN_KEYS: capabilities.subgroups ? 2 : 8, KEY_QUADS: 2 },
    });
  };
  if (core.causal) return summed.flatMap((round) => [...round.passes, ...outputsOf(round)]);
  return [...summed.flatMap(({ passes }) => passes), ...summed.flatMap(outputsOf)];
}

/** vec4 channels and columns of a thread, as many as registers hold (a CPU's are in its cache anyhow), and tokens at a time. */
function blockStateTile({ headDim, stateColumns }: CoreSizes, { software }: Capabilities) {
  const most = software ? 4 : 2;
  return {
    CHANNELS: Math.min(Math.ceil(headDim / 4), most),
    COLUMNS: Math.min(stateColumns, most),
    TOGETHER: 4,
  };
}

function blockStateWork(
  sizes: CoreSizes,
  count: number,
  rows: number,
  { CHANNELS, COLUMNS }: ReturnType<typeof blockStateTile>,
) {
  const { batches, heads, headDim, valueDim, stateColumns } = sizes;
  const tiles = Math.ceil(stateColumns / COLUMNS) * Math.ceil(Math.ceil(headDim / 4) / CHANNELS);
  const groups = Math.ceil((tiles * batches * heads * count) / THREADS);
  return { groups, flops: (2 * batches * heads * rows * headDim * valueDim) / groups };
}

/** Of one head: 2 D Dv a row for the state, and 2 (D + Dv) for each pair of the blocks' lower triangles. */
function outputFlops(
  { headDim, valueDim }: ReturnType<typeof sizesOf>,
  rows: number,
  causal: boolean,
): number {
  const [whole, rest] = [Math.floor(rows / BLOCK), rows % BLOCK];
  const pairs = causal ? (whole * BLOCK * (BLOCK + 1)) / 2 + (rest * (rest + 1)) / 2 : 0;
  return 2 * rows * headDim * valueDim + 2 * pairs * (headDim + valueDim);
}
