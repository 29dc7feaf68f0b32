import type { TensorLayout, TensorView } from "webgpu-attention";
import { fail } from "../check.js";

/** Elements [begin, end) of a buffer. */
type Run = readonly [begin: number, end: number];

/** A part of a tensor: all of an axis where it is not named. */
export interface TensorPart {
  /** Batch entries. */
  readonly entries?: readonly number[];
  readonly heads?: readonly number[];
  readonly tokens?: readonly [begin: number, end: number];
}

export function stridesOf({ shape: [, tokens, heads, dim], strides }: TensorLayout): TensorLayout["shape"] {
  return strides ?? [tokens * heads * dim, heads * dim, dim, 1];
}

export function bytesOf(dtype: TensorLayout["dtype"]): number {
  return dtype === "f32" ? 4 : dtype === "f16" ? 2 : 1;
}

/** First element and one past the last that a layout touches. */
export function extentOf(layout: TensorLayout): Run {
  const strides = stridesOf(layout);
  const begin = layout.offset ?? 0;
  return [begin, layout.shape.reduce((end, size, axis) => end + (size - 1) * strides[axis]!, begin) + 1];
}

/**
 * Records copies of a part of a tensor into another tensor of the same shape and type, element by element: a copy for each run of elements
 * that are neighbours in both.
 *
 * @throws AttentionError before anything is recorded: "shape" or "dtype" for tensors that differ or do not fit their buffers, "unsupported" for two
 * in one buffer, buffers without COPY_SRC or COPY_DST usage, and runs of f16 that do not start and end at multiples of four bytes
 */
export function recordTensorCopy(
  encoder: GPUCommandEncoder,
  from: TensorView,
  to: TensorView,
  part: TensorPart = {},
): void {
  if (from.dtype !== to.dtype)
    fail("dtype", "source", to.dtype, from.dtype, "Take an activation of the same type.");
  if (!from.shape.every((size, axis) => size === to.shape[axis]))
    fail("shape", "source", `[${to.shape}]`, `[${from.shape}]`, "Take an activation of the same shape.");
  checkUsage("source", from.buffer, GPU_COPY_SRC, "COPY_SRC");
  checkUsage("activation", to.buffer, GPU_COPY_DST, "COPY_DST");
  if (from.buffer === to.buffer)
    fail("unsupported", "source", "another buffer than the activation's", "the same one", "Copy it first.");
  checkFits("source", from);
  checkFits("activation", to);
  const size = bytesOf(from.dtype);
  const [own, others] = [runs(to, part), runs(from, part)];
  const isSplit = own.length !== others.length;
  const [targets, sources] = isSplit ? [rows(to, part), rows(from, part)] : [own, others];
  const copies = targets.map(([begin, end], n) => {
    const [source] = sources[n]!;
    const [at, target, bytes] = [source * size, begin * size, (end - begin) * size];
    if (at % 4 !== 0 || target % 4 !== 0 || bytes % 4 !== 0)
      fail("unsupported", "patch", "runs of whole words of four bytes", `${bytes} bytes`, "Keep it in f32.");
    return [at, target, bytes] as const;
  });
  for (const [at, target, bytes] of copies)
    encoder.copyBufferToBuffer(from.buffer, at, to.buffer, target, bytes);
}

function checkFits(subject: string, view: TensorView): void {
  const bytes = extentOf(view)[1] * bytesOf(view.dtype);
  if (bytes <= view.buffer.size) return;
  fail(
    "shape",
    `${subject} buffer`,
    `at least ${bytes} bytes`,
    view.buffer.size,
    "Correct shape, strides or offset.",
  );
}

const GPU_COPY_SRC = 0x4;
const GPU_COPY_DST = 0x8;

export function checkUsage(subject: string, buffer: GPUBuffer, flag: number, name: string): void {
  if (buffer.usage & flag) return;
  const fix = `Create it with GPUBufferUsage.${name} added to its usage.`;
  fail("unsupported", `${subject} buffer usage`, `GPUBufferUsage.${name}`, buffer.usage, fix);
}

/** The rows of a part, joined where one begins at the end of another. */
function runs(layout: TensorLayout, part: TensorPart): Run[] {
  const joined: [number, number][] = [];
  for (const [begin, end] of rows(layout, part)) {
    const last = joined.at(-1);
    if (last && last[1] === begin) last[1] = end;
    else joined.push([begin, end]);
  }
  return joined;
}

function rows(layout: TensorLayout, part: TensorPart): Run[] {
  const [batches, tokens, heads, dim] = layout.shape;
  const [strideBatch, strideToken, strideHead, strideDim] = stridesOf(layout);
  if (strideDim !== 1 && dim > 1)
    fail(
      "unsupported",
      "tensor strides",
      "channels that are neighbours",
      strideDim,
      "Copy it densely first.",
    );
  const { heads: chosen = Array.from({ length: heads }, (_, head) => head) } = part;
  const [first, end] = part.tokens ?? [0, tokens];
  if (!(Number.isSafeInteger(first) && first >= 0 && end > first && end <= tokens))
    fail(
      "shape",
      "patch tokens",
      `[begin, end) within ${tokens} tokens`,
      `[${part.tokens}]`,
      "Count from 0.",
    );
  const { entries = Array.from({ length: batches }, (_, entry) => entry) } = part;
  checkChosen("heads", chosen, heads);
  checkChosen("entries", entries, batches);
  const base = layout.offset ?? 0;
  const found: Run[] = [];
  for (const b of entries)
    for (let token = first; token < end; token++)
      for (const head of chosen) {
        const begin = base + b * strideBatch + token * strideToken + head * strideHead;
        found.push([begin, begin + dim]);
      }
  return found;
}

/** Heads or batch entries that there are, one at least. */
function checkChosen(name: string, chosen: readonly number[], count: number): void {
  if (!Array.isArray(chosen) || chosen.length === 0)
    fail("shape", `patch ${name}`, "a list of numbers, one at least", chosen, "Leave it out for all.");
  for (const index of chosen) {
    if (Number.isSafeInteger(index) && index >= 0 && index < count) continue;
    fail("shape", `patch ${name}`, `${name} from 0 to ${count - 1}`, index, "Count from 0.");
  }
}
