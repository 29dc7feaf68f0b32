import { type AttentionContext, AttentionError, type TensorView } from "webgpu-attention";
import { byHeadLayout, type SinkLists, sinkListWords } from "webgpu-attention/calibration";
import { type Turn, turnOf } from "./layer-state.js";
import type { SinkRule, SinkSearch } from "./sink-search.js";

/** Sums of what the keys of each head have received, [B, capacity, Hq, 1] with each head's keys side by side. */
export interface ReceivedSums {
  readonly sum: TensorView;
  readonly count: TensorView;
}

/** What is known of a layer's sinks, between passes. */
export interface FoundSinks {
  /** What each batch entry's were found by; undefined: nothing was looked for. */
  readonly rules: (SinkRule | undefined)[];
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

type Searches = ReadonlyMap<number, SinkSearch>;

/** A layer that needs buffers, for all of what is known of it or for sums beside it. */
export interface LayerRoom extends Pick<SinkSearch, "heads" | "running"> {
  readonly layer: number;
  /** What stays. */
  readonly known?: FoundSinks;
}

/** New buffers that no state has yet. */
export interface SinkRoom {
  readonly layers: ReadonlyMap<number, FoundSinks>;
  readonly buffers: readonly GPUBuffer[];
}

/** By what the sinks of layers were found, of each batch entry. */
export type KnownRules = ReadonlyMap<number, readonly (SinkRule | undefined)[]>;

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

  /** Whether there are sums, which a search goes on with at each token. */
  get hasSums(): boolean {
    return [...this.#layers.values()].some(({ turns }) => turns);
  }

  get buffers(): readonly GPUBuffer[] {
    return [...this.#layers.values()].flatMap(buffersOf);
  }

  get rules(): KnownRules {
    return new Map([...this.#layers].map(([layer, { rules }]) => [layer, [...rules]]));
  }

  /** As they were; of layers that came since, nothing is known. */
  set rules(known: KnownRules) {
    for (const [layer, { rules }] of this.#layers)
      for (const entry of rules.keys()) rules[entry] = known.get(layer)?.[entry];
  }

  /**
   * Before a pass that looks for sinks: what it needs room for.
   *
   * @param begun which sequences have tokens: theirs must have been found by the same search
   * @throws AttentionError "unsupported"
   */
  missing(searches: Searches, begun: readonly boolean[]): LayerRoom[] {
    return [...searches].flatMap(([layer, { heads, running, rules }]) => {
      const found = this.#layers.get(layer);
      const isOther = rules.some(
        (rule, entry) => rule && begun[entry] && found?.rules[entry]?.text !== rule.text,
      );
      if (isOther) throw notLookedFor(layer);
      // Where no text has begun, what an earlier one left is wiped out.
      const known = begun.includes(true) ? found : undefined;
      if (known && (known.turns || !running)) return [];
      return [{ layer, heads, running, ...(known && { known }) }];
    });
  }

  /** Empty buffers for layers; whoever asked has them until they are added. */
  makeRoom(ctx: AttentionContext, layers: readonly LayerRoom[]): SinkRoom {
    const buffers: GPUBuffer[] = [];
    const empty: Empty = (shape) => {
      const view = ctx.empty(shape);
      buffers.push(view.buffer);
      return view;
    };
    try {
      const made = layers.map((room) => [room.layer, emptySinks(empty, room, this.#sizes)] as const);
      return { layers: new Map(made), buffers };
    } catch (error) {
      for (const buffer of buffers) buffer.destroy();
      throw error;
    }
  }

  /** Takes over room for layers, in place of what it had for them. */
  add({ layers }: SinkRoom): void {
    for (const [layer, found] of layers) {
      const stays = new Set(buffersOf(found));
      for (const buffer of buffersOf(this.#layers.get(layer))) if (!stays.has(buffer)) buffer.destroy();
      this.#layers.set(layer, found);
    }
  }

  /** What a pass looks for, once there is room for it. */
  note(searches: Searches): void {
    // Sums that a pass does not go on with are not those of the whole text.
    for (const [layer, { rules }] of this.#layers)
      if (!searches.get(layer)?.running)
        for (const [entry, rule] of rules.entries()) if (rule?.running) rules[entry] = undefined;
    for (const [layer, { rules }] of searches)
      for (const [entry, rule] of rules.entries()) if (rule) this.of(layer).rules[entry] = rule;
  }

  /** What this takes room for. */
  get layers(): LayerRoom[] {
    return [...this.#layers].map(([layer, { heads, turns }]) => ({
      ...{ layer, heads, running: turns !== undefined },
    }));
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

/** Layers that are room enough for what several states know. */
export function layersOf(states: readonly SinkMemory[]): LayerRoom[] {
  const all = states.flatMap(({ layers }) => layers);
  // The last of a layer counts.
  const sorted = all.sort((a, b) => Number(a.running) - Number(b.running));
  return [...new Map(sorted.map((room) => [room.layer, room])).values()];
}

type Empty = (shape: TensorView["shape"]) => TensorView;

function emptySinks(
  empty: Empty,
  { heads, running, known }: LayerRoom,
  { batches, capacity }: Sizes,
): FoundSinks {
  const layout = byHeadLayout(batches, capacity, heads);
  const view = (): TensorView => ({ ...empty(layout.shape), ...layout });
  const sums = (): ReceivedSums => ({ sum: view(), count: view() });
  const { rules, lists } = known ?? {
    rules: Array.from({ length: batches }, () => undefined),
    lists: { buffer: empty([batches, 1, heads, sinkListWords(capacity)]).buffer, keys: capacity },
  };
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
  readonly turn: Turn;
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
    // The other turn too: the last pass may have to be undone.
    if (from.turns && to.turns)
      for (const back of [0, 1] as const)
        copySums(from.turns[turnOf(from.at.turn, back)], to.turns[turnOf(to.at.turn, back)], row, place);
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
