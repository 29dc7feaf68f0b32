import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import { bytesOf } from "../../src/dispatch/layout.js";
import type { BindingSource, Pass } from "../../src/dispatch/pass.js";
import blockStateRows from "./block_state_rows.wgsl";
import blockStates from "./block_states.wgsl";
import { BLOCK, type CoreSizes, type LinearCore, sizesOf } from "./core.js";
import { type Draft, dispatches } from "./dispatches.js";
import outputRows from "./output_rows.wgsl";
import outputs from "./outputs.wgsl";
import scan from "./scan.wgsl";

const THREADS = 64;
/** Bytes of block states that are held at once, at most. */
const STATE_BYTES = 2 ** 27;

/** Each block by itself, a scan over their states, then all blocks at once; in rounds where the states are too many. */
export function blockPasses(
  core: LinearCore,
  capabilities: Capabilities,
  maxFlops: number,
  stateLimit = STATE_BYTES,
): Pass[] {
  const sizes = sizesOf(core);
  const { batches, heads, blocks, stateBytes } = sizes;
  const problems = batches * heads;
  // At least one block at a time, as far as a binding holds it.
  const most = Math.max(stateLimit, problems * stateBytes);
  const limit = Math.min(most, capabilities.limits.maxStorageBufferBindingSize);
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
  const statesForm = blockStatesForm(sizes, capabilities);
  const pass = (draft: Draft) => dispatches(core, capabilities, maxFlops, draft);
  const share = (layout: LinearCore["q"], count: number) => (bytesOf(layout.layout) * count) / blocks;

  const summed = rounds.map((round) => {
    const { first, count } = round;
    const states: BindingSource = { scratch: 0, bytes: problems * count * stateBytes };
    const uniforms = { blocks: count, first_block: first };
    const rows = Math.min(count * BLOCK, sizes.tokens - first * BLOCK);
    const stateWork = statesForm.work(count, rows);
    const scanGroups = Math.ceil((problems * stateBytes) / 16 / THREADS);
    return {
      round,
      states,
      uniforms,
      passes: [
        ...pass({
          ...statesForm.kernel,
          work: { ...stateWork, bytes: share(core.k, count) + share(core.v, count) + states.bytes },
          uniforms,
          scratch: { states },
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

/** The kernel that sums up blocks, with its tile, and what its workgroups do for `count` blocks of `rows` tokens together. */
function blockStatesForm(sizes: CoreSizes, capabilities: Capabilities) {
  const { batches, heads, headDim, valueDim, stateColumns } = sizes;
  const channels = Math.ceil(headDim / 4);
  const most = capabilities.software ? 16 : 2;
  const tile = { CHANNELS: Math.min(channels, 2), COLUMNS: Math.min(stateColumns, most), TOGETHER: 4 };
  const across = Math.ceil(stateColumns / tile.COLUMNS);
  const down = Math.ceil(channels / tile.CHANNELS);
  const rowThreads = Math.min(16, 4 * Math.ceil(down / 4));
  const kernel = capabilities.software
    ? { kernel: blockStateRows, constants: { ...tile, THREADS: rowThreads }, unroll: tile }
    : { kernel: blockStates, constants: tile, unroll: tile };
  return {
    kernel,
    work(count: number, rows: number): { groups: number; flops: number } {
      const problems = batches * heads * count;
      const groups = capabilities.software
        ? problems * across * Math.ceil(down / rowThreads)
        : Math.ceil((problems * across * down) / THREADS);
      return { groups, flops: (2 * batches * heads * rows * headDim * valueDim) / groups };
    },
  };
}

/** Of one head: 2 D Dv a row for the state, and 2 (D + Dv) for each pair of the blocks' lower triangles. */
function outputFlops({ headDim, valueDim }: CoreSizes, rows: number, causal: boolean): number {
  const [whole, rest] = [Math.floor(rows / BLOCK), rows % BLOCK];
  const pairs = causal ? (whole * BLOCK * (BLOCK + 1)) / 2 + (rest * (rest + 1)) / 2 : 0;
  return 2 * rows * headDim * valueDim + 2 * pairs * (headDim + valueDim);
}
