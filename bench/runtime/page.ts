/** The browser's half of `npm run bench:runtime`: Node asks for one figure after another. */
import { AttentionContext } from "webgpu-attention";
import { requestDevice } from "../gpu.js";
import { describeStep, measureLoads, measurePositions, measureRecording } from "./measure.js";

const page = {
  async start() {
    const { adapter, software } = (await createContext()).capabilities;
    const name = adapter.description || `${adapter.vendor} ${adapter.architecture}`.trim();
    return { adapter: name || "unnamed adapter", software };
  },
  recording: async (...given: Given<typeof measureRecording>) =>
    measureRecording(await createContext(), ...given),
  positions: async (...given: Given<typeof measurePositions>) =>
    measurePositions(await createContext(), ...given),
  step: async (...given: Given<typeof describeStep>) => describeStep(await createContext(), ...given),
  loads: async (...given: Given<typeof measureLoads>) => measureLoads(await createContext(), ...given),
};

export type RuntimePage = typeof page;

declare global {
  interface Window {
    runtime: RuntimePage;
  }
}

/** Arguments behind the context. */
type Given<Measure extends (ctx: AttentionContext, ...rest: never[]) => unknown> =
  Parameters<Measure> extends [AttentionContext, ...infer Rest] ? Rest : never;

let context: Promise<AttentionContext> | undefined;

function createContext(): Promise<AttentionContext> {
  context ??= requestDevice((adapter) => AttentionContext.requirements(adapter)).then((device) =>
    AttentionContext.create(device),
  );
  return context;
}

window.runtime = page;
