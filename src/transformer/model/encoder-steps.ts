import type { EncoderOutput } from "./encoder-outputs.js";
import { planSteps, type Step } from "./step.js";
import { StepList } from "./step-list.js";

type Planned = readonly Promise<Step | readonly Step[]>[];

/** Behind the layers, in the order in which they run. */
const OUTPUTS = ["hidden", "pooled", "logits"] as const satisfies readonly EncoderOutput[];

/** The steps of an encoder: those of its layers, and those of each output, which run where it is asked for. */
export class EncoderSteps {
  readonly #body: StepList;
  readonly #outputs: ReadonlyMap<EncoderOutput, StepList>;

  private constructor(body: StepList, outputs: ReadonlyMap<EncoderOutput, StepList>) {
    this.#body = body;
    this.#outputs = outputs;
  }

  /** All of them compile side by side; all or none. */
  static async plan(body: Planned, outputs: Readonly<Record<EncoderOutput, Planned>>): Promise<EncoderSteps> {
    const groups = [body, ...OUTPUTS.map((name) => outputs[name])];
    const lists: Step[][] = groups.map(() => []);
    await planSteps(
      groups.map(async (group, index) => {
        lists[index] = await planSteps(group);
        return lists[index];
      }),
    );
    const [first, ...rest] = lists.map((steps) => new StepList(steps));
    return new EncoderSteps(first!, new Map(OUTPUTS.map((name, index) => [name, rest[index]!])));
  }

  record(encoder: GPUCommandEncoder, wanted: ReadonlySet<EncoderOutput>): void {
    this.#body.record(encoder);
    for (const name of OUTPUTS) if (wanted.has(name)) this.#outputs.get(name)!.record(encoder);
  }

  destroy(): void {
    for (const list of [this.#body, ...this.#outputs.values()]) list.destroy();
  }
}
