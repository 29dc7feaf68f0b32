import type { ModSlots } from "./mod-slots.js";
import type { MaskMod, ScoreMod } from "./mod-types.js";

/**
 * What the mods of a problem are to kernels; undefined where it has none. What makes it is loaded on demand, since most
 * applications have no mods.
 *
 * @throws AttentionError as `modSlots`
 */
export async function loadMods({
  scoreMod,
  blockMask,
  maskMod = blockMask?.maskMod,
}: {
  readonly scoreMod?: ScoreMod;
  readonly maskMod?: MaskMod;
  readonly blockMask?: { readonly maskMod?: MaskMod };
}): Promise<ModSlots | undefined> {
  if (scoreMod === undefined && maskMod === undefined) return undefined;
  const { modSlots } = await import("./mod-slots.js");
  return modSlots({ ...(scoreMod !== undefined && { scoreMod }), ...(maskMod !== undefined && { maskMod }) });
}
