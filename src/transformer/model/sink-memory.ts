import { type AttentionContext, AttentionError, type TensorView } from "webgpu-attention";
import { byHeadLayout, type SinkLists, sinkListWords } from "webgpu-attention/calibration";
import type { SinkSearch } from "./sink-search.js";

/** Sums of what the keys of each head have received, [B, capacity, Hq, 1] with each head's keys side by side. */
export interface ReceivedSums {
  readonly sum: TensorView;
  readonly count: TensorView;
}

/** What is known of a layer's sinks, between passes. */
export interface FoundSinks {
  /** What each batch entry's were found by; undefined: nothing was looked for. */
  readonly rules: (string | undefined)[];
  readonly heads: number;
  readonly lists: SinkLists;
  /** In two turns, as recurrent layers have them, where some search goes on with each token. */
  readonly turns?: readonly [ReceivedSums, ReceivedSums];
}

interface Sizes {
  readonly batches: number;
  /** Keys that caches have room for. */
  readonly capacity: number;
}

/** What a state knows of sinks, layer by layer: nothing where no hook looks for them in the text. */
export class SinkMemory {
  readonly #sizes: Sizes;
  readonly #layers = new Map<number, FoundSinks>();

  constructor({ batches, capacity }: Sizes) {
    this.#sizes = { batches, capacity };
  }

  of(layer: number): FoundSinks {
    const known = this.#layers.get(layer);
    if (!known) throw new TypeError(`layer ${layer} has no room for sinks`);
    return known;
  }

  /** Whether some search goes on with each token. */
  get hasSums(): boolean {
    return [...this.#layers.values()].some(({ turns }) => turns);
  }

  get buffers(): readonly GPUBuffer[] {
    return [...this.#layers.values()].flatMap(buffersOf);
  }

  /**
   * Before a pass that looks for sinks: layers that have no room for them yet.
   *
   * @param begun which sequences have tokens: theirs must have been found by the same search
   * @throws AttentionError "unsupported"
   */
  missing(searches: Searches, begun: readonly boolean[]): LayerSearch[] {
    return [...searches].filter(([layer, { rules, running }]) => {
      const known = this.#layers.get(layer);
      const hasRoom = known !== undefined && (!running || known.turns !== undefined);
      const goesOn = rules.map((rule, entry) => rule !== undefined && begun[entry]!);
      const isSame = rules.every((rule, entry) => !goesOn[entry] || known?.rules[entry] === rule);
      if (goesOn.includes(true) && !(hasRoom && isSame)) throw notLookedFor(layer);
      return !hasRoom || !begun.includes(true);
    });
  }

  /** Room for the sinks of layers, in place of what is known of them. */
  add(ctx: AttentionContext, layers: readonly LayerSearch[]): void {
    for (const [layer, search] of layers) {
      const made = emptySinks(ctx, search, this.#sizes);
      for (const buffer of buffersOf(this.#layers.get(layer))) buffer.destroy();
      this.#layers.set(layer, made);
    }
  }

  /** What a pass looks for, once there is room for it. */
  note(searches: Searches): void {
    // Sums that a pass does not go on with are not those of the whole text.
    for (const [layer, { rules, turns }] of this.#layers)
      if (turns && !searches.has(layer)) rules.fill(undefined);
    for (const [layer, { rules }] of searches)
      for (const [entry, rule] of rules.entries()) if (rule !== undefined) this.of(layer).rules[entry] = rule;
  }

  /** What this takes room for. */
  get layers(): LayerSearch[] {
    return [...this.#layers].map(([layer, { heads, turns }]) => [
      layer,
      { heads, running: turns !== undefined },
    ]);
  }

  /** What another state knows of one of its sequences, once there is room for it. */
  copy(
    encoder: GPUCommandEncoder,
    other: SinkMemory,
    { from, to }: { readonly from: Place; readonly to: Place },
  ): void {
    for (const [layer, sinks] of other.#layers)
      copySinks(encoder, { ...sinks, at: from }, { ...this.of(layer), at: to });
  }

  /** When keys move in the cache: sinks are places in it. */
  forget(): void {
    for (const { rules } of this.#layers.values()) rules.fill(undefined);
  }

  destroy(): void {
    for (const buffer of this.buffers) buffer.destroy();
    this.#layers.clear();
  }
}

type Searches = ReadonlyMap<number, SinkSearch>;
type LayerSearch = readonly [layer: number, search: Pick<SinkSearch, "heads" | "running">];

/** Layers that are room enough for what several states know. */
export function layersOf(states: readonly SinkMemory[]): LayerSearch[] {
  const all = states.flatMap(({ layers }) => layers);
  // The last of a layer counts.
  return [...new Map(all.sort(([, a], [, b]) => Number(a.running) - Number(b.running)))];
}

/** Nothing known. */
function emptySinks(
  ctx: AttentionContext,
  { heads, running }: Pick<SinkSearch, "heads" | "running">,
  { batches, capacity }: Sizes,
): FoundSinks {
  const { buffer } = ctx.empty([batches, 1, heads, sinkListWords(capacity)]);
  const layout = byHeadLayout(batches, capacity, heads);
  const view = (): TensorView => ({ ...ctx.empty(layout.shape), ...layout });
  const sums = (): ReceivedSums => ({ sum: view(), count: view() });
  const rules = Array.from({ length: batches }, () => undefined);
  const lists = { buffer, keys: capacity };
  return { rules, heads, lists, ...(running && { turns: [sums(), sums()] as const }) };
}

function buffersOf(found: FoundSinks | undefined): GPUBuffer[] {
  if (!found) return [];
  const sums = found.turns?.flatMap(({ sum, count }) => [sum.buffer, count.buffer]) ?? [];
  return [found.lists.buffer, ...sums];
}

/** Where a sequence stands in a batch, and the turn that its state is in. */
interface Place {
  readonly entry: number;
  readonly turn: 0 | 1;
}

type Placed = FoundSinks & { readonly at: Place };

function copySinks(encoder: GPUCommandEncoder, from: Placed, to: Placed): void {
  to.rules[to.at.entry] = from.rules[from.at.entry];
  const [source, target] = [from.lists.keys, to.lists.keys];
  const keys = Math.min(source, target);
  const copy = (a: GPUBuffer, first: number, b: GPUBuffer, begin: number, words: number) =>
    encoder.copyBufferToBuffer(a, 4 * first, b, 4 * begin, 4 * words);
  const copySums = (a: ReceivedSums, b: ReceivedSums, row: number, place: number) => {
    for (const name of ["sum", "count"] as const)
      copy(a[name].buffer, row * source, b[name].buffer, place * target, keys);
  };
  for (let head = 0; head < from.heads; head++) {
    const [row, place] = [from.at.entry * from.heads + head, to.at.entry * to.heads + head];
    const [a, b] = [from.lists.buffer, to.lists.buffer];
    const [first, begin] = [row * sinkListWords(source), place * sinkListWords(target)];
    copy(a, first, b, begin, 1 + keys);
    copy(a, first + 1 + source, b, begin + 1 + target, sinkListWords(keys) - 1 - keys);
    if (from.turns && to.turns) copySums(from.turns[from.at.turn], to.turns[to.at.turn], row, place);
  }
}

/**
 * @param layer that a pass is for
 * @throws AttentionError "unsupported"
 */
export function notLookedFor(layer: number): AttentionError {
  return new AttentionError("unsupported", {
    subject: `a shift of layer ${layer} in a pass that continues a text`,
    expected:
      "sinks that were found when the beginning of the text was read, by the same rule, or that are named: { keys }",
    got: "a text that was read without looking for them, or by another rule",
    fix: "Read the text from its beginning with the same hooks, or name the sinks.",
  });
}

/** @throws AttentionError "unsupported" */
export function sinksMove(): AttentionError {
  return new AttentionError("unsupported", {
    subject: "a shift in a cache with a window",
    expected: "sinks that are named: { keys }, places in the cache",
    got: "sinks that are found in the text, whose places change when the cache forgets",
    fix: "Leave the window out, or name the sinks: places before cache.sinks stay.",
  });
}
