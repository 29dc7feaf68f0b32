import type { AttentionContext } from "webgpu-attention";
import { LanguageModel, loadCheckpoint } from "webgpu-attention/transformer";
import { difference } from "../../test/support/compare.js";
import { readSafetensors } from "../../test/support/safetensors.js";
import { countDispatches } from "../dispatch-counter.js";
import { TOLERANCE } from "./bars.js";
import { timeRecordings } from "./recording.js";
import type { DescribedStep, LoadResult, ModelAddress, PositionsResult, RecordingResult } from "./results.js";

const at = (path: string) => new URL(`/${path}`, location.href).href;

/** A text that does not end by itself. */
const ENDLESS = { stopIds: [] as number[] };

/** @throws Error for logits other than PyTorch's: what is wrong gets no time */
async function loadChecked(ctx: AttentionContext, { name, folder, expected }: ModelAddress) {
  const model = await LanguageModel.load(ctx, at(folder), { dtype: "f32" });
  const response = await fetch(at(expected));
  const { tensors } = readSafetensors(new Uint8Array(await response.arrayBuffer()));
  const numbers = (tensor: string) => tensors.get(tensor)!.data as Float32Array;
  const logits = await model.logits(Array.from(numbers("ids")));
  const wanted = numbers("logits");
  const error = difference(logits.subarray(logits.length - wanted.length), wanted).maxRelative;
  if (!(error <= TOLERANCE)) throw new Error(`${name}: logits differ by ${error}, nothing was timed`);
  return { model, error };
}

/** @param steps that are timed, behind as many that compile and warm up */
export async function measureRecording(
  ctx: AttentionContext,
  address: ModelAddress,
  steps: number,
): Promise<RecordingResult> {
  const { model, error } = await loadChecked(ctx, address);
  try {
    let dispatches = 0;
    const all = await timeRecordings(async () => {
      const prompt = [0, 1, 2, 3];
      const tokens = model.generate(prompt, { ...ENDLESS, maxTokens: 2 * steps + 2 });
      for (let n = 0; n < 2 * steps; n++) await tokens.next();
      dispatches = await countDispatches(async () => void (await tokens.next()));
      await tokens.return();
    });
    return { model: address.name, error, samples: all.slice(-steps - 1, -1), dispatches };
  } finally {
    model.destroy();
  }
}

/** Tokens of a turn: the first of them may wait for the other sequence's. */
const [TURN, SKIPPED] = [24, 4];

export async function measurePositions(
  ctx: AttentionContext,
  address: ModelAddress,
  positions: readonly [number, number],
  rounds: number,
): Promise<PositionsResult> {
  const { model, error } = await loadChecked(ctx, address);
  const { vocabulary } = model.config.tokens!;
  const maxTokens = TURN * (rounds + 1);
  const begin = (length: number) =>
    model.generate(
      Array.from({ length }, (_, n) => 1 + ((7 * n) % (vocabulary - 1))),
      { ...ENDLESS, maxTokens },
    );
  const texts = positions.map(begin);
  const samples: [number[], number[]] = [[], []];
  try {
    // The first turn compiles.
    for (let round = 0; round <= rounds; round++) {
      const order = round % 2 === 0 ? [0, 1] : [1, 0];
      for (const which of order) {
        const ms = await turn(texts[which]!);
        if (round > 0) samples[which as 0 | 1].push(ms);
      }
    }
  } finally {
    for (const text of texts) await text.return();
    model.destroy();
  }
  return { model: address.name, error, positions, near: samples[0], far: samples[1] };
}

/** Milliseconds a token. */
async function turn(text: AsyncGenerator<unknown>): Promise<number> {
  for (let n = 0; n < SKIPPED; n++) await text.next();
  const begun = performance.now();
  for (let n = SKIPPED; n < TURN; n++) await text.next();
  return (performance.now() - begun) / (TURN - SKIPPED);
}

export async function describeStep(
  ctx: AttentionContext,
  { name, folder }: ModelAddress,
  weights: DescribedStep["weights"],
): Promise<DescribedStep> {
  const capacity = 128;
  const cache = weights === "f16" ? "f16" : "f32";
  const model = await LanguageModel.load(ctx, at(folder), { dtype: weights });
  const state = await model.createState({ capacity, dtype: cache });
  try {
    return { model: name, weights, cache, capacity, pass: await model.describePass(state) };
  } finally {
    state.destroy();
    model.destroy();
  }
}

/** Rounds in which all types take turns; the first, which fills the browser's caches, is not counted. */
export async function measureLoads(
  ctx: AttentionContext,
  { name, folder }: ModelAddress,
  dtypes: readonly LoadResult["dtype"][],
  rounds: number,
): Promise<LoadResult[]> {
  const results = dtypes.map((dtype) => ({
    ...{ model: name, dtype },
    ...{ read: [] as number[], convert: [] as number[], upload: [] as number[] },
  }));
  for (let round = 0; round <= rounds; round++) {
    for (const { dtype, read, convert, upload } of results) {
      const { weights } = await loadCheckpoint(ctx, at(folder), { dtype });
      const { readMs, convertMs, uploadMs } = weights.times;
      weights.destroy();
      if (round === 0) continue;
      read.push(readMs);
      convert.push(convertMs);
      upload.push(uploadMs);
    }
  }
  return results;
}
