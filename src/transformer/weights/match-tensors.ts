import { AttentionError } from "webgpu-attention";
import type { TensorList, TensorTarget } from "../config/tensor-list.js";
import {
  isStoredType,
  STORED_BLOCKS,
  type StoredTensor,
  type StoredType,
  type WeightFile,
} from "./stored-tensor.js";

/** A stored tensor that is used: which bytes of which file go where. */
export interface Placement {
  readonly file: WeightFile;
  readonly tensor: StoredTensor & { readonly dtype: StoredType };
  readonly target: TensorTarget;
}

/** More names than this do not help anybody who reads a message. */
const MOST_NAMES = 5;

/**
 * Finds each tensor that a model needs in its files, and accounts for every other that they hold.
 *
 * @throws AttentionError "format" naming tensors that are missing, stored twice, of other shapes or not the model's; "unsupported"
 *   for a type of values that cannot be loaded
 */
export function matchTensors(list: TensorList, files: readonly WeightFile[]): Placement[] {
  const stored = new Map<string, { readonly file: WeightFile; readonly tensor: StoredTensor }>();
  for (const file of files) {
    for (const tensor of file.tensors) {
      if (stored.has(tensor.name)) throw mismatch([tensor.name], "one tensor of this name", "two");
      stored.set(tensor.name, { file, tensor });
    }
  }
  const missing = list.tensors.filter(({ name }) => !stored.has(name)).map(({ name }) => name);
  if (missing.length > 0) throw mismatch(missing, "in the files of this model", "none of this name");
  const placements = list.tensors.map(({ name, shape, target }) => {
    const found = stored.get(name)!;
    stored.delete(name);
    return { file: found.file, tensor: checked(found.tensor, shape, target), target };
  });
  const extra = [...stored.keys()].filter((name) => !list.unused.some((pattern) => pattern.test(name)));
  if (extra.length > 0) throw mismatch(extra, "no tensors but this model's", "tensors that it does not have");
  return placements;
}

function checked(tensor: StoredTensor, shape: readonly number[], target: TensorTarget): Placement["tensor"] {
  const { name, dtype } = tensor;
  const fits =
    tensor.shape.length === shape.length && tensor.shape.every((size, axis) => size === shape[axis]);
  if (!fits) throw mismatch([name], `shape ${list(shape)} by the configuration`, list(tensor.shape));
  if (!isStoredType(dtype)) {
    throw new AttentionError("unsupported", {
      subject: `tensor "${name}"`,
      expected: `values of ${Object.keys(STORED_BLOCKS).join(", ")}`,
      got: dtype,
      fix: "Convert the file to one of these types.",
    });
  }
  const { values } = STORED_BLOCKS[dtype];
  const row = target.transposed ? target.rows : target.kind === "vector" ? target.rows : target.columns;
  if (row % values !== 0) throw mismatch([name], `rows of whole blocks of ${values} values`, `${row} values`);
  if (values > 1 && target.transposed) {
    throw new AttentionError("unsupported", {
      subject: `tensor "${name}"`,
      expected: "values that are not quantised, since the matrix is stored transposed",
      got: dtype,
      fix: "Convert the file to F16 or F32.",
    });
  }
  return { ...tensor, dtype };
}

function list(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

function mismatch(names: readonly string[], expected: string, got: string): AttentionError {
  const shown = names.slice(0, MOST_NAMES).map((name) => `"${name}"`);
  const more = names.length > MOST_NAMES ? ` and ${names.length - MOST_NAMES} more` : "";
  return new AttentionError("format", {
    subject: `${names.length > 1 ? "tensors" : "tensor"} ${shown.join(", ")}${more}`,
    expected,
    got,
    fix: "Check that weights and configuration are of the same model, complete, and of an architecture that docs/models.md lists.",
  });
}
