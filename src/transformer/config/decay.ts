import { alibiSlopes } from "webgpu-attention/linear";
import type { Fields } from "./fields.js";

/** Heads of all layers together: a rate is kept for each. */
const MOST_RATES = 2 ** 20;

/** Decay rates of the heads of each layer, ALiBi's by layer, for so many heads and layers as no file merely claims. */
export function layerDecays(
  fields: Fields,
  name: string,
  heads: number,
  layers: number,
): (index: number) => readonly number[] {
  if (heads * layers > MOST_RATES) {
    throw fields.wrong(name, `at most ${MOST_RATES} heads of all ${layers} layers together`);
  }
  return (index) => Array.from(alibiSlopes(heads, { index, count: layers }));
}
