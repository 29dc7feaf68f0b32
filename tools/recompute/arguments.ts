import { existsSync, readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readOptions, wholeNumber } from "../command/read-options.js";
import { UsageError } from "../command/usage-error.js";

export const MODELS = fileURLToPath(new URL("../../demo/public/models/", import.meta.url));

export const HELP = `npm run recompute -- [NAME...]     the figures of docs/checkpoints.md, computed again on the GPU

  NAME               of demo/public/models; default all: ${shippedModels().join(", ")}
  --per-class N      samples of each class of a diffusion transformer; default as many as its report is of
  --help             this text

Bits per byte of the held-out book (minutes on a GPU, an hour on a CPU driver), accuracy on the test images of Fashion-MNIST (Debian's
package dataset-fashion-mnist), and how many samples of the diffusion transformer image-softmax recognises (a CPU driver takes ten seconds for one).
Exit code 0: all figures agree, 1: one does not, or could not be computed, 2: wrong usage.`;

export interface RecomputeArguments {
  readonly names: readonly string[];
  readonly perClass?: number;
}

/** @throws UsageError */
export function readArguments(args: readonly string[]): RecomputeArguments | "help" {
  const options = { "per-class": { type: "string" }, help: { type: "boolean", short: "h" } } as const;
  const { values, positionals } = readOptions(args, { options, allowPositionals: true });
  if (values.help) return "help";
  const known = shippedModels();
  const wrong = positionals.find((name) => !known.includes(name));
  if (wrong !== undefined) throw new UsageError(`no "${wrong}"; there are ${known.join(", ")}`);
  const perClass = values["per-class"];
  return {
    names: positionals.length > 0 ? positionals : known,
    ...(perClass !== undefined && { perClass: wholeNumber("--per-class", perClass, 1) }),
  };
}

function shippedModels(): string[] {
  return readdirSync(MODELS).filter((name) => existsSync(`${MODELS}${name}/training.json`));
}
