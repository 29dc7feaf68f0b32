import { WgslReflect } from "wgsl_reflect/wgsl_reflect.module.js";
import type { KernelBinding, UniformLayout, UniformType } from "../dispatch/kernel-module.js";

/** Of the numbers in a field. */
const UNIFORM_TYPES: Readonly<Record<string, UniformType>> = {
  u32: "u32",
  i32: "i32",
  f32: "f32",
  vec4u: "u32",
  "vec4<u32>": "u32",
  "array<vec4f>": "f32",
  "array<vec4>": "f32",
};

/** What wgsl_reflect says of a type; `count` of arrays, `format` of arrays and templates. */
interface TypeInfo {
  readonly name: string;
  readonly format?: { readonly name: string } | null;
  readonly count?: number;
}

export interface ReflectedKernel {
  readonly entryPoint: string;
  readonly bindings: KernelBinding[];
  readonly uniforms: Record<string, UniformLayout>;
}

/** Binding names, access modes and uniform struct layouts of a linked kernel with one compute entry point. */
export function reflectBindings(text: string): ReflectedKernel {
  const reflection = new WgslReflect(text);
  const entry = reflection.entry.compute[0];
  if (!entry || reflection.entry.compute.length !== 1) {
    throw new Error(`a kernel has exactly one @compute function, found ${reflection.entry.compute.length}`);
  }
  const bindings: KernelBinding[] = [];
  const uniforms: Record<string, UniformLayout> = {};
  for (const { name, group, binding, size, members } of reflection.uniforms) {
    bindings.push({ name, group, binding, type: "uniform" });
    const fields: Record<string, UniformLayout["fields"][string]> = {};
    for (const member of members ?? []) {
      const { name: outer, format, count } = member.type as TypeInfo;
      const written = format ? `${outer}<${format.name}>` : outer;
      const type = UNIFORM_TYPES[written];
      if (!type)
        throw new Error(
          `uniform field ${name}.${member.name} has type ${written}, which run time cannot pack`,
        );
      const length = (/vec4/.test(written) ? 4 : 1) * (count || 1);
      fields[member.name] = { offset: member.offset, type, ...(length > 1 && { length }) };
    }
    uniforms[name] = { size: Math.ceil(size / 16) * 16, fields };
  }
  for (const { name, group, binding, access } of reflection.storage) {
    bindings.push({ name, group, binding, type: access === "read" ? "read-only-storage" : "storage" });
  }
  bindings.sort((a, b) => a.group - b.group || a.binding - b.binding);
  return { entryPoint: entry.name, bindings, uniforms };
}
