import { throwIfAborted, untilAborted } from "./abort.js";
import {
  type CompiledCandidate,
  type DroppedCandidate,
  type MeasureOptions,
  type PreparedCandidate,
  reasonOf,
} from "./candidate.js";

/**
 * Compiles all candidates at once: drivers do it on threads of their own. Those that fail are added to `dropped`.
 *
 * Where the signal fires it rejects at once, and whatever still compiles is destroyed on arrival; any other failure waits for
 * the rest, so that nothing goes on behind the caller's back.
 *
 * @returns in the order of the candidates
 */
export async function compileCandidates<Candidate>(
  options: MeasureOptions<Candidate>,
  dropped: DroppedCandidate<Candidate>[],
): Promise<CompiledCandidate<Candidate>[]> {
  const { candidates, name, prepare, signal, onProgress } = options;
  const compiled = new Map<Candidate, CompiledCandidate<Candidate>>();
  let done = 0;
  let over = false;
  const compile = async (candidate: Candidate): Promise<void> => {
    throwIfAborted(signal);
    let prepared: PreparedCandidate | undefined;
    let reason = "";
    try {
      prepared = await prepare(candidate);
    } catch (error) {
      reason = reasonOf(error);
    }
    if (over) {
      prepared?.destroy();
      return;
    }
    if (prepared) compiled.set(candidate, { candidate, name: name(candidate), prepared });
    else dropped.push({ candidate, name: name(candidate), reason });
    done++;
    onProgress?.({ phase: "compile", done, total: candidates.length, candidate: name(candidate) });
  };
  try {
    await untilAborted(allOf(candidates.map(compile)), signal);
  } catch (error) {
    over = true;
    for (const { prepared } of compiled.values()) prepared.destroy();
    throw error;
  }
  return candidates.flatMap((candidate) => compiled.get(candidate) ?? []);
}

/** Unlike `Promise.all`, it fails only when all have ended. */
async function allOf(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((result) => result.status === "rejected");
  if (failed) throw failed.reason;
}
