import { benchProblem, type Suite } from "../suite.js";

/** A prompt at once: as many queries as keys. */
const prefill: Suite = {
  byDefault: true,
  problems: [
    ...[512, 1024].flatMap((tokens) => {
      const sizes = { tokensQ: tokens, tokensK: tokens };
      return [
        benchProblem(`full ${tokens}`, sizes),
        benchProblem(`causal ${tokens}`, sizes, { causal: true }),
      ];
    }),
    benchProblem("causal 512, 2 kv heads", { tokensQ: 512, tokensK: 512, kvHeads: 2 }, { causal: true }),
  ],
};

export default prefill;
