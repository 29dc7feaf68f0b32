import { AttentionError } from "webgpu-attention";
import { planSampling, type SamplingOptions } from "webgpu-attention/layers";
import { BUFFER_USAGE } from "../buffer-usage.js";
import { checkHooks, checkKnown } from "../check-arguments.js";
import { ropeContext } from "../config/rope.js";
import type { LanguageModel, PassOptions } from "../language-model.js";
import { readTokens } from "../model/read-tokens.js";
import { checkPositions, checkRoom } from "../model/room.js";
import type { SequenceState } from "../model/sequence-state.js";
import { sinkSearches } from "../model/sink-search.js";
import { throwIfAborted } from "../sources/source-errors.js";
import { StepReader } from "./step-reader.js";

export interface VerifyOptions extends PassOptions {
  /** How tokens are chosen, without a repetition penalty. Default greedy. */
  readonly sampling?: Omit<SamplingOptions, "repetitionPenalty" | "repetitionWindow">;
}

const SAMPLING = ["temperature", "topK", "topP", "minP", "seed"];

/** @throws AttentionError as `LanguageModel.verify` */
export async function verify(
  model: LanguageModel,
  state: SequenceState,
  tokens: ArrayLike<number>,
  options: VerifyOptions,
): Promise<number[]> {
  checkKnown("verify", options, ["hooks", "signal", "sampling"]);
  const { hooks = [], signal, sampling = {} } = options;
  checkKnown("verify sampling", sampling, SAMPLING);
  checkHooks(hooks);
  throwIfAborted("verify", signal);
  if (state.batches !== 1) throw severalSequences(state.batches);
  const given = Array.from(tokens);
  checkRoom({ lengths: [state.lengths[0]! + given.length], capacity: state.capacity });
  checkPositions(model.config, state.totals[0]! + given.length);
  const choosing = { hooks, sampling, ...(signal && { signal }) };
  if (!isAlikeInOnePass(model, state, given.length, hooks))
    return await chooseOneByOne(model, state, given, choosing);
  const chosen = await chooseAll(model, state, given, choosing);
  const wrong = given.findIndex((_, n) => n + 1 < given.length && chosen[n] !== given[n + 1]);
  const right = wrong < 0 ? given.length - 1 : wrong;
  await keepOnly(model, state, given, { right, hooks });
  return chosen.slice(0, right + 1);
}

type Choosing = Required<Pick<VerifyOptions, "hooks" | "sampling">> & Pick<VerifyOptions, "signal">;

/**
 * Whether a token is read in one pass with others as it is alone. It is not where sinks are found anew with each token, among what those before it have
 * given, and where the length of the text changes how keys are turned: all rows would have what is the last one's.
 */
function isAlikeInOnePass(
  { config }: LanguageModel,
  { lengths }: SequenceState,
  tokens: number,
  hooks: Choosing["hooks"],
): boolean {
  const [first, last] = [ropeContext(config, lengths[0]! + 1), ropeContext(config, lengths[0]! + tokens)];
  const searches = sinkSearches(config, hooks, { phases: ["decode"] });
  return first === last && !searches.some(({ running }) => running);
}

/** Nothing is read of a guess that was not right; where it fails, the state has read the tokens before. */
async function chooseOneByOne(
  model: LanguageModel,
  state: SequenceState,
  tokens: readonly number[],
  choosing: Choosing,
): Promise<number[]> {
  const chosen: number[] = [];
  for (const [n, token] of tokens.entries()) {
    if (n > 0 && chosen[n - 1] !== token) break;
    throwIfAborted("verify", choosing.signal);
    chosen.push(...(await chooseAll(model, state, [token], choosing)));
  }
  return chosen;
}

/** What the model chooses behind each of these tokens. */
async function chooseAll(
  { ctx, passes }: LanguageModel,
  state: SequenceState,
  tokens: readonly number[],
  { hooks, sampling }: Choosing,
): Promise<number[]> {
  const context = state.lengths[0]! + tokens.length;
  const total = state.totals[0]! + tokens.length;
  const count = tokens.length;
  const { value: pass, release } = await passes.lease(
    { tokens: count, logitsOf: "all", phase: "decode", isWhole: false, hooks, context, total },
    state,
  );
  const reader = new StepReader(ctx, count, { logits: 0, depth: 1 });
  const usage = BUFFER_USAGE.STORAGE | BUFFER_USAGE.COPY_SRC;
  const ids = ctx.device.createBuffer({ size: 4 * count, usage, label: "chosen tokens" });
  const logits = pass.forward.logits!;
  try {
    const choice = await planSampling(ctx, { ...sampling, logits, lengths: pass.totals });
    try {
      await passes.run(pass, state, {
        before: () => ctx.device.queue.writeBuffer(pass.ids, 0, Uint32Array.from(tokens)),
        after: (encoder) => {
          choice.record(encoder, { logits, ids });
          reader.record(encoder, ids, logits);
        },
      });
      return Array.from((await reader.next()).ids);
    } finally {
      choice.destroy();
    }
  } finally {
    release();
    ids.destroy();
    reader.destroy();
  }
}

interface Kept extends Required<Pick<VerifyOptions, "hooks">> {
  /** Tokens of the guess. */
  readonly right: number;
}

/** Leaves the state behind the first token and those of the guess that were right. */
async function keepOnly(
  model: LanguageModel,
  state: SequenceState,
  tokens: readonly number[],
  { right, hooks }: Kept,
): Promise<void> {
  const rest = tokens.length - 1 - right;
  if (rest === 0) return;
  if (state.canBeCut) {
    state.advance(-rest);
    return;
  }
  state.undo(tokens.length);
  await readTokens(model, state, tokens.slice(0, right + 1), { hooks, logitsOf: "none", phase: "decode" });
}

function severalSequences(count: number): AttentionError {
  return new AttentionError("shape", {
    subject: "state",
    expected: "one sequence",
    got: `${count}`,
    fix: "Verify guesses of one sequence at a time.",
  });
}
