import type { UniformLayout } from "./kernel-module.js";

export type UniformValues = Readonly<Record<string, number | readonly number[]>>;

/**
 * Packs values by field name into the bytes that the WGSL struct has.
 *
 * Every field must be given and every value must have a field: a misspelt name is an error here, not a silent zero.
 */
export function packUniforms(layout: UniformLayout, values: UniformValues): ArrayBuffer {
  const bytes = new ArrayBuffer(layout.size);
  const view = new DataView(bytes);
  for (const name of Object.keys(values)) {
    if (!(name in layout.fields)) throw new Error(`uniform struct has no field ${name}`);
  }
  for (const [name, { offset, type, length = 1 }] of Object.entries(layout.fields)) {
    const value = values[name];
    if (value === undefined) throw new Error(`uniform field ${name} was not given`);
    const numbers = typeof value === "number" ? [value] : value;
    if (numbers.length !== length)
      throw new Error(`uniform field ${name} takes ${length} ${type}, not ${numbers.length}`);
    numbers.forEach((number, index) => {
      if (type === "f32") view.setFloat32(offset + 4 * index, number, true);
      else if (type === "i32") view.setInt32(offset + 4 * index, number, true);
      else view.setUint32(offset + 4 * index, number, true);
    });
  }
  return bytes;
}
