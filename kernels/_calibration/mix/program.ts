import { checkNumber, fail } from "../../../src/dispatch/check.js";
import { checkOptions } from "../../../src/dispatch/validate.js";
import type { GainStep, HeadSteps, MixStep, PatternStep } from "./types.js";

/** Steps of all heads as `programs.wgsl` reads them, and what they need between them. */
export interface MixProgram {
  readonly words: Uint32Array<ArrayBuffer>;
  /** [batches * heads] */
  readonly needs: readonly HeadNeeds[];
}

/** What the steps of a head make necessary. */
export interface HeadNeeds {
  readonly uniform: boolean;
  readonly meanQuery: boolean;
  readonly argmax: boolean;
  readonly identity: boolean;
  /** A way to the identity that depends on what the weights are. */
  readonly curved: boolean;
  /** The u of a log-linear path, which can only come first; 0 for none. */
  readonly path: number;
}

const NEEDS_COUNT = 1;
const NEEDS_BEST = 2;
const TAKES_PATH = 4;
const WITHOUT_TERMS = 8;
const NEEDS_MEAN = 16;

const GAIN = 0;
const KINDS = { identity: 1, uniform: 2, argmax: 3, meanQuery: 4 } as const;
const CURVES = { fisherRao: 5, slerp: 6 } as const;
const TARGETS = ["identity", "uniform", "meanQuery", "argmax", "zero"];
const PATHS = ["linear", "fisherRao", "slerp", "logLinear"];

/**
 * Checks the steps of every head of every batch entry, and writes them down. Those that change nothing are left out.
 *
 * @param given the same for all batch entries, or one for each
 * @throws AttentionError "shape" or "unsupported"
 */
export function mixProgram(
  given: HeadSteps | readonly HeadSteps[],
  batches: number,
  heads: number,
): MixProgram {
  const entries = entriesOf(given, batches);
  const encoded = entries.flatMap((entry, b) => {
    for (const head of entry.keys()) {
      if (Number.isInteger(head) && head >= 0 && head < heads) continue;
      fail("shape", `heads of batch entry ${b}`, `heads from 0 to ${heads - 1}`, head, "Count query heads.");
    }
    return Array.from({ length: heads }, (_, head) => encode([entry.get(head) ?? []].flat(), head));
  });
  const words: number[] = [];
  let first = 0;
  for (const { code, needs } of encoded) {
    const flags =
      (needs.uniform || needs.path > 0 ? NEEDS_COUNT : 0) |
      (needs.argmax ? NEEDS_BEST : 0) |
      (needs.path > 0 ? TAKES_PATH : 0) |
      (hasTerms(needs) ? 0 : WITHOUT_TERMS) |
      (needs.meanQuery ? NEEDS_MEAN : 0);
    words.push(first, code.length, flags, floatBits(needs.path));
    first += code.length;
  }
  for (const [kind, value] of encoded.flatMap(({ code }) => code)) words.push(kind, floatBits(value));
  return { words: Uint32Array.from(words), needs: encoded.map(({ needs }) => needs) };
}

/** Whether row terms can say what becomes of the head's pattern: they have room for one key. */
function hasTerms({ meanQuery, path, argmax, identity }: HeadNeeds): boolean {
  return !meanQuery && path === 0 && !(argmax && identity);
}

/** One map of steps for each batch entry. */
function entriesOf(given: HeadSteps | readonly HeadSteps[], batches: number): readonly HeadSteps[] {
  const entries = Array.isArray(given)
    ? (given as readonly HeadSteps[])
    : Array<HeadSteps>(batches).fill(given as HeadSteps);
  if (entries.length !== batches) {
    const fix = "Give one map for all, or one for each batch entry.";
    fail("shape", "heads", `${batches} maps, one for each batch entry`, entries.length, fix);
  }
  for (const entry of entries) {
    if (entry instanceof Map) continue;
    fail("shape", "heads", "a Map from query heads to steps", entry, "new Map([[head, step]])");
  }
  return entries;
}

type Code = readonly [kind: number, value: number];

function encode(given: readonly PatternStep[], head: number): { code: Code[]; needs: HeadNeeds } {
  given.forEach((step, n) => {
    checkStep(step, `step ${n} of head ${head}`);
  });
  const steps = given.filter((step) => (step.kind === "gain" ? step.output !== 1 : step.u !== 0));
  const mixes = steps.filter((step) => step.kind === "mix");
  const onPath = steps.findIndex((step) => step.kind === "mix" && step.path === "logLinear");
  if (onPath > 0) {
    const fix = "List it first, or take another path.";
    fail("unsupported", `head ${head}`, "a log-linear path before other steps", "one after them", fix);
  }
  const curve = steps.findLastIndex(
    (step) => step.kind === "mix" && step.path !== undefined && step.path in CURVES,
  );
  if (steps.slice(0, Math.max(curve, 0)).some((step) => step.kind === "gain" && step.output < 0)) {
    const fix = "Take the straight path, or list the gain after it.";
    fail(
      "unsupported",
      `head ${head}`,
      "curved paths, which take roots of weights, before a gain below 0",
      "one after it",
      fix,
    );
  }
  const path = onPath === 0 ? (steps[0] as MixStep).u : 0;
  const aims = (target: MixStep["target"]) => mixes.some((mix) => mix.target === target);
  const needs: HeadNeeds = {
    uniform: aims("uniform"),
    meanQuery: aims("meanQuery"),
    argmax: aims("argmax"),
    identity: aims("identity"),
    curved: mixes.some((mix) => mix.path === "fisherRao" || mix.path === "slerp"),
    path,
  };
  return { code: steps.slice(path > 0 ? 1 : 0).map(codeOf), needs };
}

function codeOf(step: PatternStep): Code {
  if (step.kind === "gain") return [GAIN, step.output];
  const { target, u, path = "linear" } = step;
  if (target === "zero") return [GAIN, 1 - u];
  return [path in CURVES ? CURVES[path as keyof typeof CURVES] : KINDS[target], u];
}

function checkStep(step: PatternStep, subject: string): void {
  if (typeof step !== "object" || step === null)
    fail("shape", subject, "an object with a kind", step, "See PatternStep.");
  const { kind } = step as { kind: unknown };
  if (kind === "gain") {
    checkOptions(subject, step, ["kind", "output"]);
    checkNumber(`${subject} output`, (step as GainStep).output);
    checkNumber(`${subject} output in f32`, Math.fround((step as GainStep).output));
    return;
  }
  if (kind !== "mix")
    fail(
      "unsupported",
      `${subject} kind`,
      '"mix" or "gain"',
      kind,
      "Other operations have plans of their own.",
    );
  checkOptions(subject, step, ["kind", "target", "u", "path"]);
  const { target, u, path = "linear" } = step as MixStep;
  if (!TARGETS.includes(target))
    fail("unsupported", `${subject} target`, TARGETS.join(", "), target, "Choose one of them.");
  if (!PATHS.includes(path))
    fail("unsupported", `${subject} path`, PATHS.join(", "), path, "Choose one of them.");
  if (!(typeof u === "number" && u >= 0 && u <= 1))
    fail("shape", `${subject} u`, "a number from 0 to 1", u, "0 changes nothing, 1 is the target.");
  if (path !== "linear" && target !== "identity")
    fail(
      "unsupported",
      `${subject} path`,
      "linear, for this target",
      path,
      "Other paths end at the identity.",
    );
}

function floatBits(value: number): number {
  return new Uint32Array(Float32Array.of(value).buffer)[0]!;
}
