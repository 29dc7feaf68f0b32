import type { AttentionContext } from "../../src/dispatch/context.js";
import { difference } from "../../test/support/compare.js";
import { readSafetensors, type SafetensorsFile } from "../../test/support/safetensors.js";
import { TOLERANCE_F32 } from "./cases.js";
import { readLists } from "./check-case.js";
import type { SelectConfiguration } from "./configuration.js";
import { goldenInputs } from "./golden-case.js";
import { checkProblem } from "./problem.js";
import { readSelection } from "./read-selection.js";
import { compileSelection } from "./selection.js";

/** A golden file of `folder`, where there is a file system: in Node and in Deno. */
export function readGolden(folder: string, name: string): SafetensorsFile {
  const { readFileSync } = process.getBuiltinModule("node:fs");
  return readSafetensors(readFileSync(`${folder}/${name}.safetensors`));
}

/** Those that hold a selection. */
export const GOLDEN = ["sale_all_local_n200", "sale_bk16_d32_n400", "sale_d64_n384"];

/**
 * Runs the selection on a golden file's inputs: masks and integers have to be the authors' bit for bit.
 *
 * @throws Error that names what differs
 */
export async function checkGolden(
  ctx: AttentionContext,
  file: SafetensorsFile,
  configuration?: SelectConfiguration,
): Promise<void> {
  const { thresholds, ...inputs } = goldenInputs(file);
  const { blockK, segment, localWindow, scale } = inputs;
  const [q, k, v] = [inputs.q, inputs.k, inputs.v].map(({ data, shape }) => ctx.fromArray(data, shape));
  const tensors = { q: q!, k: k!, v: v! };
  const options = { thresholds, blockK, segment, localWindow, scale };
  const shape = checkProblem({ ...tensors, ...options }, ctx.capabilities);
  const plan = await compileSelection(ctx, shape, thresholds, { ...(configuration && { configuration }) });
  try {
    await ctx.submitChecked((encoder) => plan.record(encoder, { q: tensors.q, k: tensors.k }));
    const selection = await readSelection(ctx, shape, plan);
    const mask = await readLists(ctx, plan.buffers.lists, shape);
    const compared = [
      ["block_mask", mask, 0],
      ["q_int4_packed", selection.qPacked, 0],
      ["k_int4_packed", selection.kPacked, 0],
      ["q_mean", selection.qMeans, TOLERANCE_F32],
      ["k_mean", selection.kMeans, TOLERANCE_F32],
      ["q_scale", selection.qScales, TOLERANCE_F32],
      ["k_scale", selection.kScales, TOLERANCE_F32],
      ["qmk", selection.corrections, TOLERANCE_F32],
      ["m_ref", selection.maxima, TOLERANCE_F32],
      ["l_ref", selection.sums, TOLERANCE_F32],
      ["thr", selection.limits, TOLERANCE_F32],
    ] as const;
    for (const [name, actual, tolerance] of compared) {
      const error = difference(actual, file.tensors.get(name)!.data as Float32Array).maxRelative;
      if (!(error <= tolerance)) throw new Error(`${name}: error ${error}, allowed ${tolerance}`);
    }
  } finally {
    plan.destroy();
    for (const { buffer } of Object.values(tensors)) buffer.destroy();
  }
}
