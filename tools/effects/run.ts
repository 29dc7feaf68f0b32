import type { EffectName } from "./catalog.js";
import type { Effect, EffectInput, EffectReport } from "./effect.js";
import { headHunter } from "./effects/head-hunter.js";
import { headUsage } from "./effects/head-usage.js";
import { longTexts } from "./effects/long-texts.js";
import { retrievalHeads } from "./effects/retrieval-heads.js";
import { sale } from "./effects/sale.js";
import { sinks } from "./effects/sinks.js";
import { deviceName, openContext } from "./open-device.js";

const EFFECTS: Record<EffectName, Effect> = {
  "head-hunter": headHunter,
  sinks,
  "retrieval-heads": retrievalHeads,
  sale,
  "head-usage": headUsage,
  "long-texts": longTexts,
};

/** Opens a device and measures an effect on it. */
export async function runEffect(
  name: EffectName,
  input: Omit<EffectInput, "ctx">,
): Promise<{ readonly report: EffectReport; readonly device: string }> {
  const ctx = await openContext();
  return { report: await EFFECTS[name]({ ...input, ctx }), device: deviceName(ctx) };
}
