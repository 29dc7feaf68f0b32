import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import { mostLoopRounds } from "../../src/dispatch/loop-rounds.js";
import type { Device } from "./around-passes.js";

/** Fewer are not worth a dispatch. */
const LEAST_KEYS = 64;

/** Loops of a thread that walks over keys or rows and scores them. */
export interface Walk {
  readonly name: string;
  /** Rounds that all loops of a thread take together at most, where the loop over `channels4` vec4 takes so many. */
  readonly rounds: (channels4: number) => number;
  readonly headDim: number;
  readonly capabilities: Pick<Capabilities, "adapter">;
}

/**
 * The loop over a head's channels, unrolled where a driver would end a thread's loops before they are through.
 *
 * @throws AttentionError "limit" where they are too long even so
 */
export function unrolledWalk({
  name,
  rounds,
  headDim,
  capabilities,
}: Walk): Readonly<Record<string, number>> {
  const most = mostLoopRounds(capabilities);
  const channels4 = Math.ceil(headDim / 4);
  if (rounds(channels4) <= most) return {};
  const least = rounds(0);
  if (least <= most) return { HEAD_DIM4: channels4 };
  const expected = `at most ${most} (llvmpipe ends loops after so many)`;
  return fail("limit", `rounds of ${name}`, expected, least, "Use another driver, or fewer keys.");
}

/** A walk whose sums outlive a dispatch. */
interface CutWalk {
  readonly keys: number;
  /** Operations of a workgroup for a key. */
  readonly work: number;
  /** Rounds that all loops of a thread take together for a key, and before the first. */
  readonly rounds: number;
  readonly roundsBefore: number;
}

/** Ranges of keys, [begin, end), that dispatches take one after another: as many as their bound and the driver's loops let one have. */
export function walkRanges(
  { capabilities, maxDispatchFlops }: Device,
  { keys, work, rounds, roundsBefore }: CutWalk,
): readonly (readonly [begin: number, end: number])[] {
  const most = Math.min(
    maxDispatchFlops / work,
    (mostLoopRounds(capabilities) - roundsBefore) / rounds,
    keys,
  );
  const each = Math.max(LEAST_KEYS, Math.floor(most));
  const count = Math.ceil(keys / each);
  return Array.from({ length: count }, (_, n) => [n * each, Math.min((n + 1) * each, keys)]);
}
