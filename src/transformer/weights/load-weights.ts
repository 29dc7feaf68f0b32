import { type AttentionContext, AttentionError, type TensorView } from "webgpu-attention";
import type { WeightMatrix } from "webgpu-attention/layers";
import { BUFFER_USAGE } from "../buffer-usage.js";
import type { TensorList } from "../config/tensor-list.js";
import { readRange } from "../sources/byte-source.js";
import { throwIfAborted } from "../sources/source-errors.js";
import { matchTensors } from "./match-tensors.js";
import { ModelWeights } from "./model-weights.js";
import { type PlannedWeight, planSlots, type WeightChoices } from "./plan-slots.js";
import { type AllocatedWeight, RowWriter } from "./row-writer.js";
import type { WeightFile } from "./stored-tensor.js";
import { UploadQueue } from "./upload-queue.js";

/** Bytes of weights, of all files together. */
export interface WeightProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
}

export interface LoadWeightsOptions {
  readonly dtype?: WeightChoices;
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: WeightProgress) => void;
  /** Called when all has been read and before the weights are handed out: its rejection is that of loading. */
  readonly verify?: () => Promise<void>;
}

/** Bytes between two tensors that are read and dropped rather than asked for in a request of their own. */
const SMALL_GAP = 2 ** 20;

/** A tensor in the order of its file, and who takes its bytes. */
interface Reading {
  readonly begin: number;
  readonly end: number;
  readonly open: () => RowWriter;
}

/**
 * Puts weights on the GPU, tensor by tensor in the order of their files. Everything that headers can tell is checked before anything
 * is allocated. Besides the largest transposed matrix, no more than a few pieces of a few MiB are in memory at once.
 *
 * @throws AttentionError "format", "unsupported", "dtype", "limit", "aborted", "device-lost"
 */
export async function loadWeights(
  ctx: AttentionContext,
  list: TensorList,
  files: readonly WeightFile[],
  options: LoadWeightsOptions = {},
): Promise<ModelWeights> {
  const { dtype = "stored", signal, onProgress, verify } = options;
  const placements = matchTensors(list, files);
  const planned = planSlots(placements, dtype, ctx.capabilities.limits);
  throwIfAborted("loading of weights", signal);
  await assertAlive(ctx.device);
  const weights = await allocate(ctx.device, planned);
  try {
    const uploads = new UploadQueue(ctx.device.queue);
    const times = { readMs: 0, takeMs: 0 };
    const all = files.map((file) => ({ file, runs: runsOf(readingsOf(file, weights, uploads)) }));
    const totalBytes = all
      .flatMap(({ runs }) => runs)
      .reduce((sum, run) => sum + run.at(-1)!.end - run[0]!.begin, 0);
    let loadedBytes = 0;
    for (const { file, runs } of all) {
      for (const run of runs) {
        await readRun(file, run, times, signal, (bytes) => {
          loadedBytes += bytes;
          onProgress?.({ loadedBytes, totalBytes });
        });
      }
      // What is left of this file, nobody reads; a connection that sends it would be missing for the next.
      await file.source.close?.();
    }
    const convertMs = times.takeMs - uploads.spentMs;
    const verifying = performance.now();
    await verify?.();
    const readMs = times.readMs + performance.now() - verifying;
    await uploads.settle(true);
    await assertAlive(ctx.device);
    return collect(weights, { readMs, convertMs, uploadMs: uploads.spentMs });
  } catch (error) {
    for (const { buffers } of weights) for (const buffer of buffers) buffer.destroy();
    throw error;
  }
}

/** Creates all buffers. What only the driver knows comes back as a "limit". */
async function allocate(device: GPUDevice, planned: readonly PlannedWeight[]): Promise<AllocatedWeight[]> {
  const usage = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC | BUFFER_USAGE.COPY_DST;
  device.pushErrorScope("validation");
  device.pushErrorScope("out-of-memory");
  const weights = planned.map((weight) => ({
    ...weight,
    buffers: weight.parts.map(({ bytes }) => device.createBuffer({ size: bytes, usage, label: weight.slot })),
  }));
  // Both at once: scopes are the device's, and whoever loads beside this one would find the second in place of its own.
  const scopes = [device.popErrorScope(), device.popErrorScope()];
  const errors = await Promise.all(scopes.map((scope) => scope.catch(() => null)));
  const error = errors.find((found) => found !== null);
  if (!error) return weights;
  for (const { buffers } of weights) for (const buffer of buffers) buffer.destroy();
  const bytes = planned.flatMap(({ parts }) => parts).reduce((sum, part) => sum + part.bytes, 0);
  throw new AttentionError("limit", {
    subject: "weights",
    expected: `room for ${bytes} bytes on the GPU`,
    got: error.message || "out of memory",
    fix: 'Load them with dtype "q8" or "q4", free other models, or take a smaller one.',
    cause: error,
  });
}

/** A lost device takes all calls and does nothing. Its loss is known here once an answer from it has arrived. */
async function assertAlive(device: GPUDevice): Promise<void> {
  device.pushErrorScope("validation");
  await device.popErrorScope().catch(() => null);
  const lost = await Promise.race([device.lost, Promise.resolve(undefined)]);
  if (!lost) return;
  throw new AttentionError("device-lost", {
    subject: "device",
    expected: "a live GPUDevice",
    got: `a device lost (${lost.reason || "unknown"}${lost.message ? `: ${lost.message}` : ""})`,
    fix: "Request a new device, make a new context, and load the model again.",
  });
}

/** What is read of a file, in its order. */
function readingsOf(file: WeightFile, weights: readonly AllocatedWeight[], uploads: UploadQueue): Reading[] {
  const readings = weights.flatMap((weight) =>
    weight.sources
      .filter(({ placement }) => placement.file === file)
      .map(({ placement, firstRow }) => ({
        begin: placement.tensor.begin,
        end: placement.tensor.end,
        open: () => new RowWriter(uploads, weight, placement, firstRow),
      })),
  );
  return readings.sort((a, b) => a.begin - b.begin);
}

/** Runs that are read in one go. */
function runsOf(readings: readonly Reading[]): Reading[][] {
  const runs: Reading[][] = [];
  for (const reading of readings) {
    const run = runs.at(-1);
    if (run && reading.begin - run.at(-1)!.end <= SMALL_GAP) run.push(reading);
    else runs.push([reading]);
  }
  return runs;
}

async function readRun(
  { source }: WeightFile,
  run: readonly Reading[],
  times: { readMs: number; takeMs: number },
  signal: AbortSignal | undefined,
  onBytes: (bytes: number) => void,
): Promise<void> {
  let next = 0;
  let writer: RowWriter | undefined;
  let position = run[0]!.begin;
  const take = async (piece: Uint8Array) => {
    const end = position + piece.byteLength;
    while (next < run.length && run[next]!.begin < end) {
      const reading = run[next]!;
      writer ??= reading.open();
      const from = Math.max(reading.begin, position) - position;
      const to = Math.min(reading.end, end) - position;
      await writer.push(piece.subarray(from, to));
      if (reading.end > end) break;
      await writer.finish();
      writer = undefined;
      next++;
    }
    position = end;
  };
  const pieces = readRange(source, position, run.at(-1)!.end, signal);
  try {
    for (;;) {
      const asked = performance.now();
      const { done, value } = await pieces.next();
      const got = performance.now();
      times.readMs += got - asked;
      if (done) return;
      await take(value);
      times.takeMs += performance.now() - got;
      onBytes(value.byteLength);
    }
  } finally {
    // Where taking fails, the source is told that nobody reads on.
    await pieces.return();
  }
}

function collect(weights: readonly AllocatedWeight[], times: ModelWeights["times"]): ModelWeights {
  const matrices = new Map<string, WeightMatrix[]>();
  const views = new Map<string, TensorView>();
  for (const { slot, kind, layout, parts, buffers } of weights) {
    if (kind === "matrix") {
      const withBuffers = parts.map(({ firstRow, rows }, index) => ({
        buffer: buffers[index]!,
        firstRow,
        rows,
      }));
      matrices.set(slot, [...(matrices.get(slot) ?? []), { ...layout, parts: withBuffers }]);
    } else {
      const { rows, columns } = layout;
      const shape = kind === "vector" ? ([1, 1, 1, rows] as const) : ([1, rows, 1, columns] as const);
      views.set(slot, { buffer: buffers[0]!, dtype: "f32", shape });
    }
  }
  return new ModelWeights(matrices, views, times);
}
