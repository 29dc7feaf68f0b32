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
export function statisticsWords({ softmax, heads, groups, compared, request }: StatisticsShape): {
  readonly words: readonly number[];
  readonly places: WordPlaces;
} {
  const words: number[] = [];
  const put = (added: readonly number[]) => {
    const place = sequencesAt(softmax) + words.length;
    words.push(...added);
    return place;
  };
  const places = {
    heads: put(heads),
    groups: put(groupWords(groups)),
    compared: put(groupWords(compared)),
    sets: put((request.mass ?? []).flatMap((set) => setWords(set, softmax.tokensK))),
    diagonals: put((request.diagonals ?? []).map((n) => n >>> 0)),
  };
  return { words, places };
}

/** The tables of softmax attention, with these words behind its terms. */
export function statisticsTables(shape: StatisticsShape, options: SoftmaxOptions): Record<string, Table> {
  const tables = softmaxTables(shape.softmax, options);
  const { values, copies } = tables.terms!;
  const terms = {
    values: Uint32Array.of(...values, ...statisticsWords(shape).words),
    ...(copies && { copies }),
  };
  return { ...tables, terms };
}

/** Offsets, then members. */
function groupWords(groups: readonly (readonly number[])[]): number[] {
  const offsets = [0];
  for (const group of groups) offsets.push(offsets.at(-1)! + group.length);
  return [...offsets, ...groups.flat()];
}

/** A bit a key, lowest first. */
function setWords(set: KeySet, keys: number): number[] {
  const words = new Uint32Array(Math.ceil(keys / 32));
  const add = (key: number) => {
    if (key >= 0 && key < keys) words[key >> 5]! |= 1 << (key & 31);
  };
  if ("keys" in set) for (const key of set.keys) add(key);
  else for (let key = Math.max(set.range[0], 0); key < Math.min(set.range[1], keys); key++) add(key);
  return [...words];
}
