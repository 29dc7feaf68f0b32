import type { Capabilities } from "./capabilities.js";
import { fail } from "./check.js";
import { bytesPerElement, elementCount, stridesOf, type TensorLayout } from "./tensor-view.js";
import { bindingRange } from "./validate.js";

/** Whether every row starts at a multiple of four elements, has a multiple of four channels, and these are neighbours. */
export function isVec4(layout: TensorLayout, capabilities: Capabilities): boolean {
  const [sb, st, sh, sd] = stridesOf(layout);
  const aligned = [layout.shape[3], sb, st, sh, bindingRange(layout, capabilities).base];
  return sd === 1 && aligned.every((value) => value % 4 === 0);
}

/** Bytes of all elements, each counted once. */
export function bytesOf(...layouts: (TensorLayout | undefined)[]): number {
  return layouts.reduce(
    (sum, layout) => sum + (layout ? bytesPerElement(layout.dtype) * elementCount(layout.shape) : 0),
    0,
  );
}

/** @throws AttentionError "limit" when a tensor is more than one binding holds */
export function checkBindable(
  layouts: Readonly<Record<string, TensorLayout | undefined>>,
  capabilities: Capabilities,
): void {
  const limit = capabilities.limits.maxStorageBufferBindingSize;
  for (const [name, layout] of Object.entries(layouts)) {
    const size = layout ? bindingRange(layout, capabilities).size : 0;
    if (size <= limit) continue;
    fail(
      "limit",
      name,
      `at most ${limit} bytes (the device's maxStorageBufferBindingSize)`,
      `${size} bytes`,
      "Request the device with AttentionContext.requirements(adapter), or split heads or batch over several calls.",
    );
  }
}
