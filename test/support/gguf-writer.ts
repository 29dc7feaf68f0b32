/** A value of a GGUF pair: numbers are of the type named. */
export type GgufValue =
  | string
  | boolean
  | { readonly type: "u32" | "i32" | "f32" | "u64"; readonly value: number }
  | readonly string[]
  | { readonly type: "u32" | "i32" | "f32" | "u64"; readonly values: readonly number[] };

/** ggml's numbers of value types. */
const TYPES = { u32: 4, i32: 5, f32: 6, bool: 7, string: 8, array: 9, u64: 10 } as const;

/** A GGUF file (version 3) with these pairs and no tensors. */
export function writeGguf(pairs: Readonly<Record<string, GgufValue>>): Uint8Array<ArrayBuffer> {
  const bytes: number[] = [..."GGUF"].map((letter) => letter.charCodeAt(0));
  put(bytes, "u32", 3);
  put(bytes, "u64", 0);
  put(bytes, "u64", Object.keys(pairs).length);
  for (const [key, value] of Object.entries(pairs)) {
    putString(bytes, key);
    putValue(bytes, value);
  }
  while (bytes.length % 32 !== 0) bytes.push(0);
  return Uint8Array.from(bytes);
}

function putValue(bytes: number[], value: GgufValue): void {
  const tag = (type: keyof typeof TYPES) => put(bytes, "u32", TYPES[type]);
  if (typeof value === "string") {
    tag("string");
    putString(bytes, value);
  } else if (typeof value === "boolean") {
    tag("bool");
    bytes.push(Number(value));
  } else if (isStrings(value)) {
    tag("array");
    tag("string");
    put(bytes, "u64", value.length);
    for (const text of value) putString(bytes, text);
  } else if ("values" in value) {
    tag("array");
    tag(value.type);
    put(bytes, "u64", value.values.length);
    for (const one of value.values) put(bytes, value.type, one);
  } else {
    tag(value.type);
    put(bytes, value.type, value.value);
  }
}

function isStrings(value: GgufValue): value is readonly string[] {
  return Array.isArray(value);
}

function putString(bytes: number[], text: string): void {
  const encoded = new TextEncoder().encode(text);
  put(bytes, "u64", encoded.length);
  for (const byte of encoded) bytes.push(byte);
}

function put(bytes: number[], type: "u32" | "i32" | "f32" | "u64", value: number): void {
  const view = new DataView(new ArrayBuffer(8));
  if (type === "u64") view.setBigUint64(0, BigInt(value), true);
  else if (type === "f32") view.setFloat32(0, value, true);
  else view.setInt32(0, value | 0, true);
  for (let i = 0; i < (type === "u64" ? 8 : 4); i++) bytes.push(view.getUint8(i));
}
