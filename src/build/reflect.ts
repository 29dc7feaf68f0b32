import { WgslReflect } from "wgsl_reflect/wgsl_reflect.module.js";
import type { KernelBinding, UniformLayout, UniformType } from "../dispatch/kernel-module.js";

const UNIFORM_TYPES: Readonly<Record<string, UniformType>> = {
  u32: "u32",
  i32: "i32",
  f32: "f32",
  vec4u: "vec4u",
  "vec4<u32>": "vec4u",
};

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
    const fields: Record<string, { offset: number; type: UniformType }> = {};
    for (const member of members ?? []) {
      const format = (member.type as { format?: { name: string } | null }).format;
      const written = format ? `${member.type.name}<${format.name}>` : member.type.name;
      const type = UNIFORM_TYPES[written];
      if (!type)
        throw new Error(
          `uniform field ${name}.${member.name} has type ${written}, which run time cannot pack`,
        );
      fields[member.name] = { offset: member.offset, type };
    }
    uniforms[name] = { size: Math.ceil(size / 16) * 16, fields };
  }
  for (const { name, group, binding, access } of reflection.storage) {
    bindings.push({ name, group, binding, type: access === "read" ? "read-only-storage" : "storage" });
  }
  bindings.sort((a, b) => a.group - b.group || a.binding - b.binding);
  return { entryPoint: entry.name, bindings, uniforms };
}
