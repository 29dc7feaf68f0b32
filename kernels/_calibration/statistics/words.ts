import type { Table } from "../../../src/dispatch/compiled-passes.js";
import type { SoftmaxOptions } from "../../softmax/index.js";
import { sequencesAt, softmaxTables } from "../../softmax/tables.js";
import type { KeySet } from "../shift/types.js";
import type { StatisticsShape } from "./problem.js";

/** Where `terms` holds what statistics add to it, behind the words of softmax attention. */
export interface WordPlaces {
  readonly heads: number;
  readonly groups: number;
  /** Groups of heads that are compared. */
  readonly compared: number;
  readonly sets: number;
  readonly diagonals: number;
}

/** Lists of heads, sets of keys and diagonals as words, and where they lie. */
function statisticsWords({ softmax, heads, groups, compared, request }: StatisticsShape): {
  readonly lists: readonly Uint32Array[];
  readonly places: WordPlaces;
} {
  const lists: Uint32Array[] = [];
  let place = sequencesAt(softmax);
  const put = (...added: readonly Uint32Array[]) => {
    const first = place;
    for (const list of added) {
      lists.push(list);
      place += list.length;
    }
    return first;
  };
  const places = {
    heads: put(Uint32Array.from(heads)),
    groups: put(groupWords(groups)),
    compared: put(groupWords(compared)),
    sets: put(...(request.mass ?? []).map((set) => setWords(set, softmax.tokensK))),
    diagonals: put(Uint32Array.from(request.diagonals ?? [])),
  };
  return { lists, places };
}

export function wordPlaces(shape: StatisticsShape): WordPlaces {
  return statisticsWords(shape).places;
}

/** The tables of softmax attention, with these words behind its terms. */
export function statisticsTables(shape: StatisticsShape, options: SoftmaxOptions): Record<string, Table> {
  const tables = softmaxTables(shape.softmax, options);
  const { values, copies } = tables.terms!;
  // Sets of keys in long contexts are more words than a call takes arguments.
  const parts = [values, ...statisticsWords(shape).lists];
  const all = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return { ...tables, terms: { values: all, ...(copies && { copies }) } };
}

/** Offsets, then members. */
function groupWords(groups: readonly (readonly number[])[]): Uint32Array {
  const offsets = [0];
  for (const group of groups) offsets.push(offsets.at(-1)! + group.length);
  return Uint32Array.from([...offsets, ...groups.flat()]);
}

/** A bit a key, lowest first. */
function setWords(set: KeySet, keys: number): Uint32Array {
  const words = new Uint32Array(Math.ceil(keys / 32));
  const add = (key: number) => {
    if (key >= 0 && key < keys) words[key >> 5]! |= 1 << (key & 31);
  };
  if ("keys" in set) for (const key of set.keys) add(key);
  else for (let key = Math.max(set.range[0], 0); key < Math.min(set.range[1], keys); key++) add(key);
  return words;
}
