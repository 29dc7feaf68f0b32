import type { Capabilities } from "../../../src/dispatch/capabilities.js";
import type { AttentionContext } from "../../../src/dispatch/context.js";
import type { PlaygroundTask, Variant } from "../../_playground/mechanism.js";
import { softmaxCandidates } from "../candidates.js";
import { configurationName, type SoftmaxConfiguration } from "../configuration.js";
import { tuneSoftmaxAttention } from "../tuning.js";
import { checkCase, layoutOf } from "./check-values.js";
import type { PlaygroundCase } from "./read-values.js";

/** A configuration, and how it was come by. */
export interface Choice {
  readonly configuration: SoftmaxConfiguration;
  readonly text: string;
}

export const MEASURED = "measured";

/** What the library chooses at once or by measuring, then every configuration that it would measure on this device. */
export function softmaxVariants(
  problem: PlaygroundCase,
  capabilities: Capabilities,
): readonly Variant<SoftmaxConfiguration>[] {
  const candidates = softmaxCandidates(checkCase(problem, capabilities), capabilities);
  return [
    { name: "table", label: `chosen by the table: ${configurationName(candidates[0]!)}` },
    { name: MEASURED, label: "the fastest, measured on this device first" },
    ...candidates.map((configuration) => {
      const name = configurationName(configuration);
      return { name, label: name, configuration };
    }),
  ];
}

/**
 * The configuration to run. The table's is looked up here, because a context that has measured would rather take what it knows.
 *
 * @throws AttentionError "aborted" among others
 */
export async function chooseConfiguration(
  ctx: AttentionContext,
  problem: PlaygroundCase,
  { name, label, configuration }: Variant<SoftmaxConfiguration>,
  task: PlaygroundTask,
): Promise<Choice> {
  if (configuration) return { configuration, text: label };
  if (name === MEASURED) return measured(ctx, problem, task);
  const [table] = softmaxCandidates(checkCase(problem, ctx.capabilities), ctx.capabilities);
  return { configuration: table!, text: label };
}

async function measured(
  ctx: AttentionContext,
  problem: PlaygroundCase,
  { signal, onPhase }: PlaygroundTask,
): Promise<Choice> {
  const verbs = { compile: "Compiling", check: "Checking", time: "Timing" };
  const { winner, measured: all } = await tuneSoftmaxAttention(ctx, layoutOf(problem), {
    signal,
    onProgress: ({ phase, candidate, done, total }) => onPhase(`${verbs[phase]} ${candidate}`, done, total),
  });
  return {
    configuration: winner.candidate,
    text: `${winner.name}, the fastest of ${all.length} measured on this device`,
  };
}
