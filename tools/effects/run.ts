import type { EffectName } from "./catalog.js";
import type { Effect, EffectInput, EffectReport } from "./effect.js";
import { sinks } from "./effects/sinks.js";
import { deviceName, openContext } from "./open-device.js";

const EFFECTS: Record<EffectName, Effect> = {
  sinks,
};

/** Opens a device and measures an effect on it. */
export async function runEffect(
  name: EffectName,
  input: Omit<EffectInput, "ctx">,
): Promise<{ readonly report: EffectReport; readonly device: string }> {
  const ctx = await openContext();
  return { report: await EFFECTS[name]({ ...input, ctx }), device: deviceName(ctx) };
}
