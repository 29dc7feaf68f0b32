import { attentionCalibration, softPag, visualRedistribution } from "webgpu-attention/hooks";
import type { BenchRow, MechanismBench } from "../../kernels/_bench/mechanism-bench.js";
import { HIDDEN_SINKS, IMAGE } from "./inputs.js";
import { intervenedEntry } from "./intervened-entry.js";
import { fiveStatisticsEntry } from "./statistics-entry.js";

const [TOKENS, HEADS, DIM] = [1024, 8, 64];

/** Operations on all heads. The ratios of a row are what they cost, plain attention and statistics being of the same mask. */
function row(causal: boolean): BenchRow {
  const entry = (name: string, operation?: Parameters<typeof intervenedEntry>[0]["operation"]) =>
    intervenedEntry({
      name,
      tokens: TOKENS,
      heads: HEADS,
      dim: DIM,
      causal,
      ...(operation && { operation }),
    });
  return {
    name: `${causal ? "causal" : "full"}, ${TOKENS} tokens`,
    compare: "time per row",
    entries: [
      entry("plain attention"),
      entry("SoftPAG", softPag()),
      entry("ACT: detection and shift", attentionCalibration()),
      entry(
        "VAR: sinks from hidden states",
        visualRedistribution({ image: IMAGE, sinks: { hidden: HIDDEN_SINKS } }),
      ),
      fiveStatisticsEntry(TOKENS, HEADS, DIM, causal),
    ],
  };
}

/** What changing attention and looking into it cost, as multiples of plain attention. H = 8, D = 64. */
export default { rows: [row(false), row(true)] } satisfies MechanismBench;
