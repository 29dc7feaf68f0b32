import { readSafetensors, type SafetensorsTensor } from "../../test/support/safetensors.js";

/** A case file whose metadata has been checked. */
export interface VerifyCase {
  readonly mechanism: string;
  readonly name: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly tensors: ReadonlyMap<string, SafetensorsTensor>;
}

/** @throws Error (AttentionError "format" for a damaged file) that says what is wrong with the file. */
export function readCase(bytes: Uint8Array): VerifyCase {
  const { metadata, tensors } = readSafetensors(bytes);
  const missing = ["mechanism", "case", "params"].filter((key) => !metadata[key]);
  if (missing.length > 0) throw new Error(`__metadata__ has no ${missing.join(", ")}`);
  return {
    mechanism: metadata.mechanism!,
    name: metadata.case!,
    params: parseParams(metadata.params!),
    tensors,
  };
}

function parseParams(json: string): Record<string, unknown> {
  let params: unknown;
  try {
    params = JSON.parse(json);
  } catch (error) {
    throw new Error(`__metadata__.params is not JSON: ${(error as Error).message}`);
  }
  if (typeof params !== "object" || params === null || Array.isArray(params)) {
    throw new Error(`__metadata__.params is not an object: ${json}`);
  }
  return params as Record<string, unknown>;
}

/** A tensor the case cannot do without. */
export function requireTensor(testCase: VerifyCase, name: string): SafetensorsTensor {
  const tensor = testCase.tensors.get(name);
  if (!tensor) throw new Error(`tensor "${name}" is missing`);
  return tensor;
}

/** The most precise version of a reference output: its float64 twin where the file has one. */
export function referenceTensor({ tensors }: VerifyCase, name: string): SafetensorsTensor | undefined {
  return tensors.get(`${name}_f64`) ?? tensors.get(`${name}64`) ?? tensors.get(name);
}

/** Any tensor's values as numbers; 64-bit integers become doubles. */
export function numbersOf(tensor: SafetensorsTensor): ArrayLike<number> {
  const { data } = tensor;
  return data instanceof BigInt64Array || data instanceof BigUint64Array
    ? Float64Array.from(data, Number)
    : data;
}
