import { AttentionError } from "../errors.js";

/** A candidate, compiled and ready to run on the proxy problem. */
export interface PreparedCandidate {
  /** Runs it `times` over, waits, and gives the time that all of it took, in milliseconds. */
  run(times: number): Promise<number>;
  /** What is wrong with its last results, or undefined where they agree with the reference. */
  verify(): Promise<string | undefined>;
  destroy(): void;
}

export interface MeasureOptions<Candidate> {
  /** Most promising first: where the budget is short, the last ones go unmeasured. */
  readonly candidates: readonly Candidate[];
  readonly name: (candidate: Candidate) => string;
  /** Compiles a candidate; may reject, which drops it. */
  readonly prepare: (candidate: Candidate) => Promise<PreparedCandidate>;
  /** Milliseconds on the GPU, checks included, compilation not. */
  readonly budgetMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: TuningProgress) => void) | undefined;
}

export interface TuningProgress {
  readonly phase: "compile" | "check" | "time";
  /** What the phase has done, of how much; in the phase "time" in milliseconds of the budget. */
  readonly done: number;
  readonly total: number;
  /** The candidate at hand. */
  readonly candidate: string;
}

export interface MeasuredCandidate<Candidate> {
  readonly candidate: Candidate;
  readonly name: string;
  /** Milliseconds of one run each. */
  readonly samples: readonly number[];
}

export interface DroppedCandidate<Candidate> {
  readonly candidate: Candidate;
  readonly name: string;
  /** The compiler's words, or by how much it was wrong. */
  readonly reason: string;
}

export interface Measurement<Candidate> {
  readonly winner: MeasuredCandidate<Candidate>;
  /** Fastest first. */
  readonly measured: readonly MeasuredCandidate<Candidate>[];
  /** Candidates that do not compile or give wrong results here: bugs of the driver or of ours, worth reporting. */
  readonly dropped: readonly DroppedCandidate<Candidate>[];
  /** Candidates that the budget did not reach. */
  readonly unmeasured: readonly Candidate[];
  /** What was spent of the budget. */
  readonly gpuMs: number;
}

/** A choice between fewer is none. */
const FEWEST = 3;
/** Samples that settle a candidate: more gain nothing against what differs between proxy and problem. */
const ENOUGH_SAMPLES = 15;
/** A candidate this much slower than the best is timed no further; the margin shrinks as samples come in. */
const MARGINS = [1.6, 1.3, 1.2, 1.15];
/** Where the clock's grain and the cost of a submission disappear. */
const SAMPLE_MS = 2;

type State<Candidate> = MeasuredCandidate<Candidate> & {
  readonly prepared: PreparedCandidate;
  readonly samples: number[];
  /** What one run takes, as far as is known. */
  estimate: number;
};

/**
 * Compiles all candidates, checks each against the reference, then times them in turns until the budget is spent, slow ones
 * leaving early. The least of a candidate's samples decides: whatever else the machine does only adds to the time.
 *
 * @throws AttentionError "aborted", or "compile" when not one candidate works
 */
export async function measureCandidates<Candidate>(
  options: MeasureOptions<Candidate>,
): Promise<Measurement<Candidate>> {
  const { candidates, signal, budgetMs } = options;
  const dropped: DroppedCandidate<Candidate>[] = [];
  throwIfAborted(signal);
  const compiled = await compileAll(options, dropped);
  try {
    const clock = { spent: 0 };
    const checked = await checkAll(compiled, options, dropped, clock);
    if (checked.length === 0) throw nothingWorks(dropped);
    await timeInTurns(checked, options, clock);
    const measured = checked
      .filter(({ samples }) => samples.length > 0)
      .sort((a, b) => Math.min(...a.samples) - Math.min(...b.samples))
      .map(({ candidate, name, samples }) => ({ candidate, name, samples }));
    const known = new Set([...measured, ...dropped].map(({ candidate }) => candidate));
    options.onProgress?.({ phase: "time", done: budgetMs, total: budgetMs, candidate: measured[0]!.name });
    return {
      winner: measured[0]!,
      measured,
      dropped,
      unmeasured: candidates.filter((candidate) => !known.has(candidate)),
      gpuMs: clock.spent,
    };
  } finally {
    for (const { prepared } of compiled) prepared.destroy();
  }
}

/** All at once: drivers compile on threads of their own. */
async function compileAll<Candidate>(
  { candidates, name, prepare, signal, onProgress }: MeasureOptions<Candidate>,
  dropped: DroppedCandidate<Candidate>[],
): Promise<State<Candidate>[]> {
  let done = 0;
  const settled = await Promise.all(
    candidates.map(async (candidate) => {
      try {
        const prepared = await prepare(candidate);
        return { candidate, name: name(candidate), prepared, samples: [], estimate: 0 };
      } catch (error) {
        if (error instanceof AttentionError && error.code === "device-lost") throw error;
        dropped.push({
          candidate,
          name: name(candidate),
          reason: error instanceof Error ? error.message : String(error),
        });
        return undefined;
      } finally {
        done++;
        onProgress?.({ phase: "compile", done, total: candidates.length, candidate: name(candidate) });
      }
    }),
  );
  const compiled = settled.filter((state) => state !== undefined);
  if (signal?.aborted) {
    for (const { prepared } of compiled) prepared.destroy();
    throwIfAborted(signal);
  }
  return compiled;
}

/** One run each, which also warms it up. Stops early where the checks alone would eat half of the budget. */
async function checkAll<Candidate>(
  compiled: readonly State<Candidate>[],
  { budgetMs, signal, onProgress }: MeasureOptions<Candidate>,
  dropped: DroppedCandidate<Candidate>[],
  clock: { spent: number },
): Promise<State<Candidate>[]> {
  const checked: State<Candidate>[] = [];
  for (const [index, state] of compiled.entries()) {
    throwIfAborted(signal);
    if (checked.length >= FEWEST && clock.spent > budgetMs / 2) break;
    state.estimate = await state.prepared.run(1);
    clock.spent += state.estimate;
    const reason = await state.prepared.verify();
    if (reason === undefined) checked.push(state);
    else dropped.push({ candidate: state.candidate, name: state.name, reason });
    onProgress?.({ phase: "check", done: index + 1, total: compiled.length, candidate: state.name });
  }
  return checked;
}

async function timeInTurns<Candidate>(
  checked: readonly State<Candidate>[],
  { budgetMs, signal, onProgress }: MeasureOptions<Candidate>,
  clock: { spent: number },
): Promise<void> {
  let running = [...checked].sort((a, b) => a.estimate - b.estimate);
  for (let round = 0; round < ENOUGH_SAMPLES && running.length > 0; round++) {
    for (const [place, state] of running.entries()) {
      throwIfAborted(signal);
      const owed = round === 0 && place < FEWEST;
      const times = repeats(state.estimate);
      if (!owed && clock.spent + times * state.estimate > budgetMs) continue;
      const total = await state.prepared.run(times);
      clock.spent += total;
      state.samples.push(total / times);
      // The check's run counts here: one that the machine disturbed must not end a candidate.
      state.estimate = Math.min(state.estimate, total / times);
      onProgress?.({
        phase: "time",
        done: Math.min(clock.spent, budgetMs),
        total: budgetMs,
        candidate: state.name,
      });
    }
    const best = Math.min(...running.map(({ estimate }) => estimate));
    const margin = MARGINS[Math.min(round, MARGINS.length - 1)]!;
    running = running.filter(({ estimate }) => estimate <= best * margin);
    if (clock.spent + best > budgetMs) return;
  }
}

function repeats(estimate: number): number {
  return Math.min(Math.max(Math.ceil(SAMPLE_MS / Math.max(estimate, 0.01)), 1), 50);
}

function throwIfAborted(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new AttentionError("aborted", {
    subject: "tuning",
    expected: "to finish",
    got: "an AbortSignal that fired",
    fix: "Nothing was stored. Call again to measure anew, or plan without measuring.",
    cause: signal.reason,
  });
}

function nothingWorks(dropped: readonly DroppedCandidate<unknown>[]): AttentionError {
  return new AttentionError("compile", {
    subject: "tuning",
    expected: "a candidate that compiles and agrees with the reference on this device",
    got: dropped.map(({ name, reason }) => `${name}: ${reason}`).join("; "),
    fix: "Report this with the adapter's name and driver version.",
  });
}
