import { AttentionError } from "webgpu-attention";
import { type ByteSource, readBytes } from "../sources/byte-source.js";
import { decode } from "./decode.js";
import { isStoredType, type StoredTensor } from "./stored-tensor.js";

/** More values than any table that belongs to a configuration. */
const MOST_VALUES = 4096;

/** A tensor's values in memory of JavaScript's. */
export async function readSmallTensor(
  source: ByteSource,
  { name, dtype, shape, begin, end }: StoredTensor,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const count = shape.reduce((product, length) => product * length, 1);
  if (!isStoredType(dtype) || count > MOST_VALUES) {
    throw new AttentionError("format", {
      subject: `tensor "${name}"`,
      expected: `at most ${MOST_VALUES} floats`,
      got: `${count} values of ${dtype}`,
      fix: "The file is damaged; download or convert it again.",
    });
  }
  const values = new Float32Array(count);
  decode(dtype, await readBytes(source, begin, end, signal), values);
  return values;
}
