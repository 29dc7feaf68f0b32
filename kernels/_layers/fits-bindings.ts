import type { Capabilities } from "../../src/dispatch/capabilities.js";
import type { BindingSource } from "../../src/dispatch/pass.js";

/** Whether a device binds as many storage buffers as these. */
export function fitsBindings(
  bindings: Readonly<Record<string, BindingSource>>,
  { limits }: Pick<Capabilities, "limits">,
): boolean {
  const bound = Object.values(bindings).filter((source) => !("unused" in source));
  return bound.length <= limits.maxStorageBuffersPerShaderStage;
}
