/**
 * Runs in Deno (Naga, and llvmpipe where there is no GPU), with one part of the checks as its argument, and prints the part's
 * result as a line of JSON: `{ adapter: null }` where there is no adapter.
 */
import { AttentionContext } from "../../src/index.js";
import { checkAgent } from "./agent-checks.js";
import type { CaseChecks } from "./attempts.js";
import { checkCalibration } from "./calibration-checks.js";
import { checkFlow } from "./flow-checks.js";
import { checkLinear } from "./linear-checks.js";
import { checkMasks } from "./masks-checks.js";
import { checkMoh } from "./moh-checks.js";
import { checkSale } from "./sale-checks.js";
import { checkSoftmax, type SoftmaxChecks } from "./softmax-checks.js";
import { measureCandidates, type TuningCheck } from "./tuning-check.js";

export type Part =
  | "shared"
  | "registers"
  | "tuning"
  | "linear"
  | "flow"
  | "agent"
  | "masks"
  | "sale"
  | "moh"
  | "calibration";

export interface Report<Result = SoftmaxChecks | TuningCheck | CaseChecks> {
  /** What the adapter calls itself. */
  readonly adapter: string | null;
  /** Whether the device has shader-f16. */
  readonly f16?: boolean;
  readonly result?: Result;
}

async function report(part: Part): Promise<Report> {
  const adapter = await navigator.gpu?.requestAdapter();
  if (!adapter) return { adapter: null };
  const device = await adapter.requestDevice(AttentionContext.requirements(adapter));
  const { vendor, architecture, description } = adapter.info;
  const result = await check(part, device);
  return {
    adapter: description || `${vendor} ${architecture}`,
    f16: device.features.has("shader-f16"),
    result,
  };
}

function check(part: Part, device: GPUDevice): Promise<SoftmaxChecks | TuningCheck | CaseChecks> {
  if (part === "tuning") return measureCandidates(device);
  if (part === "linear") return checkLinear(device);
  if (part === "flow") return checkFlow(device);
  if (part === "masks") return checkMasks(device);
  if (part === "agent") return checkAgent(device);
  if (part === "moh") return checkMoh(device);
  if (part === "calibration") return checkCalibration(device);
  if (part === "sale") return checkSale(device, process.argv[3]!);
  return checkSoftmax(device, part);
}

console.log(JSON.stringify(await report(process.argv[2] as Part)));
