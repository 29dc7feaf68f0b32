import { AttentionError } from "../errors.js";
import { throwIfAborted } from "./abort.js";
import { type CompiledCandidate, type DroppedCandidate, type MeasureOptions, reasonOf } from "./candidate.js";
import { clearly, clearTime, sampleMs, sampleRepeats } from "./clear-time.js";
import { compileCandidates } from "./compile-candidates.js";

export interface MeasuredCandidate<Candidate> {
  readonly candidate: Candidate;
  readonly name: string;
  /** Milliseconds of one run each. */
  readonly samples: readonly number[];
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

type State<Candidate> = CompiledCandidate<Candidate> & {
  readonly samples: number[];
  /** Milliseconds of one run, as far as the clock has shown them. */
  estimate?: number | undefined;
  grainMs: number;
};

/** What all phases of one measurement share. */
interface Bench<Candidate> extends MeasureOptions<Candidate> {
  readonly dropped: DroppedCandidate<Candidate>[];
  spent: number;
}

/**
 * Compiles all candidates, checks each against the reference, then times them in turns until the budget is spent, slow ones
 * leaving early. The least of a candidate's samples decides: whatever else the machine does only adds to the time.
 *
 * @throws AttentionError "aborted", "compile" when not one candidate works, "unsupported" when the clock shows no time passing
 */
export async function measureCandidates<Candidate>(
  options: MeasureOptions<Candidate>,
): Promise<Measurement<Candidate>> {
  const bench: Bench<Candidate> = { ...options, dropped: [], spent: 0 };
  throwIfAborted(bench.signal);
  const compiled = await compileCandidates(bench, bench.dropped);
  try {
    const states = compiled.map((one): State<Candidate> => ({ ...one, samples: [], grainMs: 0 }));
    const checked = await checkAll(states, bench);
    await timeInTurns(checked, bench);
    return result(checked, bench);
  } finally {
    for (const { prepared } of compiled) prepared.destroy();
  }
}

function result<Candidate>(
  checked: readonly State<Candidate>[],
  { candidates, budgetMs, dropped, spent, onProgress }: Bench<Candidate>,
): Measurement<Candidate> {
  const gone = new Set(dropped.map(({ candidate }) => candidate));
  const working = checked.filter(({ candidate }) => !gone.has(candidate));
  if (working.length === 0) throw nothingWorks(dropped);
  const measured = working
    .filter(({ samples }) => samples.length > 0)
    .sort((a, b) => Math.min(...a.samples) - Math.min(...b.samples))
    .map(({ candidate, name, samples }) => ({ candidate, name, samples }));
  const winner = measured[0];
  if (!winner) throw nothingTimed();
  const known = new Set([...measured.map(({ candidate }) => candidate), ...gone]);
  onProgress?.({ phase: "time", done: budgetMs, total: budgetMs, candidate: winner.name });
  const unmeasured = candidates.filter((candidate) => !known.has(candidate));
  return { winner, measured, dropped, unmeasured, gpuMs: spent };
}

/** One run each, which also warms it up. Stops early where the checks alone would eat half of the budget. */
async function checkAll<Candidate>(
  compiled: readonly State<Candidate>[],
  bench: Bench<Candidate>,
): Promise<State<Candidate>[]> {
  const { budgetMs, signal, onProgress } = bench;
  const checked: State<Candidate>[] = [];
  for (const [index, state] of compiled.entries()) {
    throwIfAborted(signal);
    if (checked.length >= FEWEST && bench.spent > budgetMs / 2) break;
    const works = await attempt(state, bench, async () => {
      const { time, wrong } = await state.prepared.check();
      bench.spent += time.ms;
      state.estimate = clearly(time);
      state.grainMs = time.grainMs;
      return wrong;
    });
    if (works) checked.push(state);
    onProgress?.({ phase: "check", done: index + 1, total: compiled.length, candidate: state.name });
  }
  return checked;
}

async function timeInTurns<Candidate>(
  checked: readonly State<Candidate>[],
  bench: Bench<Candidate>,
): Promise<void> {
  const { budgetMs, signal, onProgress } = bench;
  let running = [...checked].sort((a, b) => (a.estimate ?? 0) - (b.estimate ?? 0));
  for (let round = 0; round < ENOUGH_SAMPLES && running.length > 0; round++) {
    const gone = new Set<State<Candidate>>();
    for (const [place, state] of running.entries()) {
      throwIfAborted(signal);
      const owed = round === 0 && place < FEWEST;
      if (!owed && bench.spent + nextSampleMs(state) > budgetMs) continue;
      if (!(await takeSample(state, bench))) gone.add(state);
      const done = Math.min(bench.spent, budgetMs);
      onProgress?.({ phase: "time", done, total: budgetMs, candidate: state.name });
    }
    running = running.filter((state) => !gone.has(state));
    const best = Math.min(...running.map(({ estimate }) => estimate ?? Number.POSITIVE_INFINITY));
    const margin = MARGINS[Math.min(round, MARGINS.length - 1)]!;
    running = running.filter(({ estimate }) => estimate === undefined || estimate <= best * margin);
    if (bench.spent + best > budgetMs) return;
  }
}

function nextSampleMs({ estimate, grainMs }: State<unknown>): number {
  return estimate === undefined ? sampleMs(grainMs) : estimate * sampleRepeats(estimate, grainMs);
}

/** Whether the candidate stays in the race: not where it fails, nor where the clock cannot time it. */
async function takeSample<Candidate>(state: State<Candidate>, bench: Bench<Candidate>): Promise<boolean> {
  let sample: number | undefined;
  const works = await attempt(state, bench, async () => {
    const { prepared, estimate, grainMs } = state;
    const spend = (ms: number) => {
      bench.spent += ms;
    };
    const run = (times: number) => prepared.run(times);
    sample = await clearTime(run, sampleRepeats(estimate, grainMs), spend, bench.signal);
    return undefined;
  });
  if (!works || sample === undefined) return false;
  state.samples.push(sample);
  // The check's run counts here: one that the machine disturbed must not end a candidate.
  state.estimate = Math.min(state.estimate ?? sample, sample);
  return true;
}

/** Drops the candidate where `work` fails or says what is wrong with it. */
async function attempt<Candidate>(
  { candidate, name }: State<Candidate>,
  { dropped }: Bench<Candidate>,
  work: () => Promise<string | undefined>,
): Promise<boolean> {
  const reason = await work().catch(reasonOf);
  if (reason !== undefined) dropped.push({ candidate, name, reason });
  return reason === undefined;
}

function nothingWorks(dropped: readonly DroppedCandidate<unknown>[]): AttentionError {
  return new AttentionError("compile", {
    subject: "tuning",
    expected: "a candidate that compiles and agrees with the reference on this device",
    got: dropped.map(({ name, reason }) => `${name}: ${reason}`).join("; "),
    fix: "Report this with the adapter's name and driver version.",
  });
}

function nothingTimed(): AttentionError {
  return new AttentionError("unsupported", {
    subject: "tuning",
    expected: "a clock that moves while candidates run",
    got: "a time of 0 for all of them",
    fix: "Leave the choice to the table, or give a configuration.",
  });
}
