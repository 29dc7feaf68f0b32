import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readKernelSources } from "../../src/build/compile-kernel.js";
import { compileKernelFile } from "../../src/build/kernel-plugin.js";
import { specialise } from "../../src/dispatch/specialise.js";

const KERNELS = fileURLToPath(new URL("../../kernels", import.meta.url));

export interface WgslFile {
  /** Below the project's root, for messages. */
  readonly name: string;
  readonly path: string;
  readonly text: string;
}

/** One variant of a kernel as a driver gets it, with default constants and slots. */
export interface KernelText {
  /** `"kernels/softmax/tiled.wgsl [vec4]"` */
  readonly name: string;
  readonly enables: readonly string[];
  readonly code: string;
}

/** Every `.wgsl` file below `kernels/`, shared parts included. */
export function wgslFiles(): WgslFile[] {
  return Object.entries(readKernelSources(KERNELS).files)
    .map(([file, text]) => ({ name: join("kernels", file), path: join(KERNELS, file), text }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** @throws KernelBuildError with file and line when the kernel does not even link. */
export async function kernelTexts({ path, name }: WgslFile): Promise<KernelText[]> {
  const { kernel } = await compileKernelFile(path);
  return Object.entries(kernel.variants).map(([key, variant]) => ({
    name: `${name} [${key}]`,
    enables: variant.enables,
    code: specialise(variant),
  }));
}
