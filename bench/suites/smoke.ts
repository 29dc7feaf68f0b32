import { benchProblem, type Suite } from "../suite.js";

/** Every kind of row of the other suites, as small as it gets: whether the benchmark works, not how fast anything is. */
const smoke: Suite = {
  byDefault: false,
  problems: [
    benchProblem("full 48", { tokensQ: 48, tokensK: 48, heads: 2 }),
    benchProblem("causal 48", { tokensQ: 48, tokensK: 48, heads: 2 }, { causal: true }),
    benchProblem(
      "causal 48, 1 kv head",
      { tokensQ: 48, tokensK: 48, heads: 2, kvHeads: 1 },
      { causal: true },
    ),
    benchProblem("decode 96", { tokensQ: 1, tokensK: 96, heads: 2 }),
    benchProblem("decode 96, 1 kv head", { tokensQ: 1, tokensK: 96, heads: 2, kvHeads: 1 }),
  ],
};

export default smoke;
