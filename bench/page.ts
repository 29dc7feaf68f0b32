/** The browser's half of `npm run bench`: Node starts the contenders once, then asks for one row after another. */
import { makeCaseInputs } from "../kernels/softmax/case-inputs.js";
import type { SoftmaxCase } from "../kernels/softmax/cases.js";
import { capabilitiesOf } from "../src/dispatch/capabilities.js";
import { normalArray, randomSource } from "../test/support/random.js";
import type { BenchInputs, Contender, ContenderName, PeerName, TuningKind } from "./contender.js";
import { requestDevice } from "./gpu.js";
import { findYardstick, type YardstickTask } from "./matmul/yardstick.js";
import { measureRows } from "./measure-rows.js";
import type { MatmulResult, RowResult, StartReport } from "./results.js";
import type { BenchRow } from "./suite.js";

export interface BenchPage {
  start(options: { peers: readonly PeerName[]; tuning?: TuningKind }): Promise<StartReport>;
  /** Before the first row: the fastest take their turns in every row. */
  measureMatmul(rounds: number): Promise<readonly MatmulResult[]>;
  measure(rows: readonly BenchRow[], rounds: number): Promise<RowResult[]>;
}

declare global {
  interface Window {
    bench: BenchPage;
  }
}

/** Modules of contenders that do not run are not even loaded. */
const STARTERS: Readonly<Record<ContenderName, (tuning?: TuningKind) => Promise<Contender>>> = {
  ours: async (tuning) => (await import("./contenders/ours.js")).startOurs(tuning),
  "onnxruntime-web": async () => (await import("./contenders/onnxruntime-web.js")).startOnnxRuntime(),
  "jax-js": async () => (await import("./contenders/jax-js.js")).startJaxJs(),
};

const contenders = new Map<ContenderName, Contender | Error>();
let yardsticks: readonly YardstickTask[] = [];

window.bench = {
  async start({ peers, tuning }) {
    const failures: StartReport["failures"] = {};
    for (const name of ["ours", ...peers] as const) {
      try {
        contenders.set(name, await STARTERS[name](tuning));
      } catch (error) {
        contenders.set(name, error as Error);
        failures[name] = String(error);
      }
    }
    const device = await requestDevice();
    const { adapter, software } = capabilitiesOf(device);
    device.destroy();
    const name = adapter.description || `${adapter.vendor} ${adapter.architecture}`.trim();
    return { adapter: name || "unnamed adapter", software, failures };
  },

  async measureMatmul(rounds) {
    const { candidates, finalists } = await findYardstick(rounds);
    yardsticks = finalists;
    return candidates;
  },

  async measure(rows, rounds) {
    return measureRows(rows, { contenders, yardsticks, rounds, makeInputs });
  },
};

function makeInputs(problem: SoftmaxCase): BenchInputs {
  const random = randomSource(1);
  return { problem, data: makeCaseInputs(problem, () => normalArray(1, random)[0]!) };
}
