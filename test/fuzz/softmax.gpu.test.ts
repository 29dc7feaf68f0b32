/**
 * Random shapes, layouts and options against the float64 reference. In Node, FUZZ_SEED and FUZZ_RUNS look elsewhere:
 * `FUZZ_SEED=7 FUZZ_RUNS=500 npm test -- --project node-gpu test/fuzz`.
 */

import { fuzz } from "./fuzz.js";
import { runFuzzCase } from "./run-fuzz-case.js";
import { fuzzCase } from "./softmax-arbitrary.js";

fuzz("softmax attention agrees with the reference", fuzzCase, { runs: 40, secondsPerRun: 4 }, runFuzzCase);
