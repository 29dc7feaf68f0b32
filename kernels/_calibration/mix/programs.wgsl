// What is done to the patterns of heads, as data: steps in the order in which they are taken (`program.ts`).
import package::softmax::params::params;

/// [batches, heads] of (first step, steps, NEEDS_* bits, bits of the u of a log-linear path), then steps of (kind, bits of u or factor).
@group(0) @binding(13) var<storage, read> programs: array<u32>;

const NEEDS_COUNT = 1u;
const NEEDS_BEST = 2u;
const TAKES_PATH = 4u;
/// Row terms cannot say what becomes of the pattern.
const WITHOUT_TERMS = 8u;
const NEEDS_MEAN = 16u;

const STEP_GAIN = 0u;
const STEP_IDENTITY = 1u;
const STEP_UNIFORM = 2u;
const STEP_ARGMAX = 3u;
const STEP_MEAN = 4u;
const STEP_FISHER_RAO = 5u;

struct Program {
  first: u32,
  steps: u32,
  needs: u32,
  /// Of a log-linear path, which makes the pattern that the steps begin with; 0 for none.
  path: f32,
}

fn program_of(batch: u32, head: u32) -> Program {
  let at = 4u * (batch * params.heads + head);
  return Program(programs[at], programs[at + 1u], programs[at + 2u], bitcast<f32>(programs[at + 3u]));
}

struct Step {
  kind: u32,
  u: f32,
}

fn step_of(program: Program, n: u32) -> Step {
  let at = 4u * params.batches * params.heads + 2u * (program.first + n);
  return Step(programs[at], bitcast<f32>(programs[at + 1u]));
}
