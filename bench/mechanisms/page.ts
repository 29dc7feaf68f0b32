/** The browser's half of `npm run bench:mechanisms`: Node asks for one row after another. */
import { AttentionContext } from "webgpu-attention";
import type { BenchRow, MechanismBench } from "../../kernels/_bench/mechanism-bench.js";
import { requestDevice } from "../gpu.js";
import { findYardstick, type YardstickTask } from "../matmul/yardstick.js";
import type { MatmulResult } from "../results.js";
import { measureRow } from "./measure.js";
import { peerRows } from "./peer-rows.js";
import type { MechanismRowResult } from "./results.js";

export interface MechanismsPage {
  start(options: { peers: boolean }): Promise<{ adapter: string; software: boolean; rows: RowName[] }>;
  measureMatmul(rounds: number): Promise<readonly MatmulResult[]>;
  measure(row: RowName, rounds: number): Promise<MechanismRowResult>;
}

export interface RowName {
  readonly mechanism: string;
  readonly name: string;
}

declare global {
  interface Window {
    mechanisms: MechanismsPage;
  }
}

const BENCHES = import.meta.glob<MechanismBench>(["../../kernels/*/bench.ts", "../interventions/bench.ts"], {
  import: "default",
});

const rows = new Map<string, BenchRow>();
let context: Promise<AttentionContext> | undefined;
let yardsticks: readonly YardstickTask[] = [];

window.mechanisms = {
  async start({ peers }) {
    const names: RowName[] = [];
    for (const [path, load] of Object.entries(BENCHES)) {
      const mechanism = path.split("/").at(-2)!;
      const { rows: own } = await load();
      for (const row of [...own, ...(peers ? await peerRows(mechanism) : [])]) {
        rows.set(`${mechanism} ${row.name}`, row);
        names.push({ mechanism, name: row.name });
      }
    }
    const { adapter, software } = (await createContext()).capabilities;
    const name = adapter.description || `${adapter.vendor} ${adapter.architecture}`.trim();
    return { adapter: name || "unnamed adapter", software, rows: names };
  },

  async measureMatmul(rounds) {
    const { candidates, finalists } = await findYardstick(rounds);
    yardsticks = finalists;
    return candidates;
  },

  async measure({ mechanism, name }, rounds) {
    const ctx = await createContext();
    return measureRow(rows.get(`${mechanism} ${name}`)!, { ctx, mechanism, yardsticks, rounds });
  },
};

function createContext(): Promise<AttentionContext> {
  context ??= requestDevice((adapter) => AttentionContext.requirements(adapter)).then(async (device) => {
    const ctx = await AttentionContext.create(device);
    ctx.fillScratch(Number.NaN);
    return ctx;
  });
  return context;
}
