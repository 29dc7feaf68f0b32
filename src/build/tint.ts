/**
 * Tint without a GPU: npm `webgpu` with its null backend compiles and validates WGSL in milliseconds. It is a
 * development dependency, so a build where it cannot be loaded (an exotic platform) goes on without the check.
 */
interface TintError {
  readonly offset: number;
  readonly message: string;
}

let device: Promise<GPUDevice | undefined> | undefined;
/** Kept referenced: Dawn crashes when its instance is collected before its devices. */
let instance: GPU | undefined;

async function openDevice(): Promise<GPUDevice | undefined> {
  try {
    const { create } = await import("webgpu");
    instance = create(["backend=null"]);
    const adapter = await instance.requestAdapter();
    const wanted = ["shader-f16", "subgroups"] as GPUFeatureName[];
    return await adapter?.requestDevice({
      requiredFeatures: wanted.filter((name) => adapter.features.has(name)),
    });
  } catch {
    return undefined;
  }
}

/** Errors of a WGSL text; `offset` counts characters from the start of `text`, `enable` lines not included. */
export async function tintErrors(enables: readonly string[], text: string): Promise<TintError[]> {
  device ??= openDevice();
  const tint = await device;
  if (!tint) return [];
  const header = enables.map((name) => `enable ${name};\n`).join("");
  tint.pushErrorScope("validation");
  const info = await tint.createShaderModule({ code: header + text }).getCompilationInfo();
  await tint.popErrorScope();
  return info.messages
    .filter((message) => message.type === "error")
    .map(({ offset, message }) => ({ offset: offset - header.length, message }));
}

/** Lets the process end: an open device keeps Node alive. */
export async function closeTint(): Promise<void> {
  const open = await device;
  device = undefined;
  open?.destroy();
}
