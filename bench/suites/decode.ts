import { benchProblem, type Suite } from "../suite.js";

/** One new token against a cache that is full: it sees every key. */
const decode: Suite = {
  byDefault: true,
  problems: [
    benchProblem("2048", { tokensQ: 1, tokensK: 2048 }),
    benchProblem("2048, 2 kv heads", { tokensQ: 1, tokensK: 2048, kvHeads: 2 }),
  ],
};

export default decode;
