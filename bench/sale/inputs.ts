import { normalArray, randomSource } from "../../test/support/random.js";

/** q, k and v of one head, [tokens, dim] row-major. */
export interface HeadInputs {
  readonly name: string;
  readonly tokens: number;
  readonly dim: number;
  readonly q: Float32Array<ArrayBuffer>;
  readonly k: Float32Array<ArrayBuffer>;
  readonly v: Float32Array<ArrayBuffer>;
}

const DIM = 64;
/** Tokens over which two positions become strangers. */
const BAND = 96;
/** One token in so many can be looked up later; one query in so many looks one up. */
const NEEDLES = 512;
const LOOKUPS = 61;

/**
 * The synthetic recipe. With unit directions in 64 channels, beside normal noise of 0.35 a channel in q and k:
 * - sinks: the first four keys have 12 along a direction that all queries have 4 of;
 * - a local band: q and k have 10 along a direction that turns with the position, so that scores fade over BAND tokens;
 * - retrieval: every NEEDLES-th key has 11 along a direction of its own, and every LOOKUPS-th query has 11 along that of an
 *   earlier one, drawn at random.
 * Values are normal.
 */
export function syntheticHead(tokens: number, seed = 1): HeadInputs {
  const random = randomSource(seed);
  const noise = () => normalArray(tokens * DIM, random).map((value) => 0.35 * value);
  const [q, k] = [noise(), noise()];
  const v = normalArray(tokens * DIM, random);
  const direction = () => {
    const raw = normalArray(DIM, random);
    const size = Math.hypot(...raw);
    return raw.map((value) => value / size);
  };
  const add = (to: Float32Array, token: number, along: Float32Array, factor: number) => {
    for (let c = 0; c < DIM; c++) to[token * DIM + c]! += factor * along[c]!;
  };
  const sink = direction();
  const positions = Array.from({ length: Math.ceil(tokens / BAND) + 2 }, direction);
  const needles = Array.from({ length: Math.ceil(tokens / NEEDLES) }, direction);
  for (let token = 0; token < tokens; token++) {
    add(q, token, sink, 4);
    if (token < 4) add(k, token, sink, 12);
    // Between two directions of a chain, by the angle that the position has come to.
    const [at, part] = [Math.floor(token / BAND), (token % BAND) / BAND];
    for (const to of [q, k]) {
      add(to, token, positions[at]!, 10 * Math.cos((part * Math.PI) / 2));
      add(to, token, positions[at + 1]!, 10 * Math.sin((part * Math.PI) / 2));
    }
    if (token % NEEDLES === NEEDLES / 2) add(k, token, needles[Math.floor(token / NEEDLES)]!, 11);
    if (token % LOOKUPS === LOOKUPS - 1 && token > NEEDLES)
      add(q, token, needles[Math.floor(random() * Math.floor((token - NEEDLES / 2) / NEEDLES))]!, 11);
  }
  return { name: "synthetic", tokens, dim: DIM, q, k, v };
}

/** The first `tokens` of a head. */
export function prefix(head: HeadInputs, tokens: number): HeadInputs {
  const cut = (data: Float32Array<ArrayBuffer>) => data.slice(0, tokens * head.dim);
  return { ...head, tokens, q: cut(head.q), k: cut(head.k), v: cut(head.v) };
}
