import { show } from "../show.js";
import type { ByteSource } from "../sources/byte-source.js";
import { readBytes } from "../sources/byte-source.js";
import { parseStrictJson } from "../sources/read-json.js";
import { isRefusal } from "../sources/source-errors.js";
import { damaged } from "./file-errors.js";
import { MOST_HEADER_BYTES, readSafetensorsHeader } from "./safetensors.js";
import type { WeightFile } from "./stored-tensor.js";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const MOST_SHARDS = 1000;

/** Opens a file of weights; whoever calls decides what else happens to its bytes. */
export type OpenFile = (path: string) => Promise<ByteSource | undefined>;

/**
 * The files of a model's safetensors weights with their headers read: `model.safetensors`, or the shards that its index lists.
 *
 * @throws AttentionError "format" for files that are missing or damaged, or an index that does not agree with its shards; "aborted"
 */
export async function openSafetensors(open: OpenFile, signal?: AbortSignal): Promise<WeightFile[]> {
  const opened = await openWeights(open);
  if ("single" in opened) return [await readSafetensorsHeader(opened.single, signal)];
  const { index } = opened;
  if (index.size > MOST_HEADER_BYTES)
    throw damaged(INDEX, `at most ${MOST_HEADER_BYTES} bytes`, `${index.size}`);
  const { weightMap, totalSize } = parseIndex(await readBytes(index, 0, index.size, signal));
  const files: WeightFile[] = [];
  let headerRoom = MOST_HEADER_BYTES;
  for (const [shard, names] of namesByShard(weightMap)) {
    const source = await open(shard);
    if (!source) throw damaged(shard, `the shard that ${INDEX} lists`, "no such file");
    const file = await readSafetensorsHeader(source, signal, headerRoom);
    // Servers that ignore ranges have begun to send all of it, and a browser opens six connections to a server: the seventh shard would
    // wait for ever for the others to be read.
    await source.close?.();
    headerRoom -= file.headerBytes;
    checkShard(shard, file, names, weightMap);
    files.push(file);
  }
  checkTotal(files, totalSize);
  return files;
}

/** Stores that do not list their files refuse one that they do not have, so that a model of shards looks like a forbidden one. */
async function openWeights(
  open: OpenFile,
): Promise<{ readonly single: ByteSource } | { readonly index: ByteSource }> {
  let refusal: unknown;
  try {
    const single = await open(SINGLE);
    if (single) return { single };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    refusal = error;
  }
  const index = await open(INDEX).catch((error: unknown) => {
    throw refusal !== undefined && isRefusal(error) ? refusal : error;
  });
  if (index) return { index };
  throw refusal ?? damaged("model", `${SINGLE}, or ${INDEX} with its shards`, "neither");
}

function namesByShard(weightMap: ReadonlyMap<string, string>): Map<string, Set<string>> {
  const shards = new Map<string, Set<string>>();
  for (const [name, shard] of weightMap) {
    const names = shards.get(shard);
    if (names) names.add(name);
    else shards.set(shard, new Set([name]));
  }
  return shards;
}

interface Index {
  /** File by tensor. */
  readonly weightMap: ReadonlyMap<string, string>;
  readonly totalSize?: number;
}

function parseIndex(bytes: Uint8Array): Index {
  const parsed = parseStrictJson(INDEX, bytes);
  const { weight_map: map, metadata } = (parsed ?? {}) as { weight_map?: unknown; metadata?: unknown };
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw damaged(`${INDEX} weight_map`, "an object of file names", show(map));
  }
  const weightMap = new Map<string, string>(Object.entries(map));
  for (const [name, shard] of weightMap) {
    // A plain name: what leads out of the model's folder comes from a hostile file.
    if (typeof shard === "string" && /^[\w-][\w.-]*\.safetensors$/.test(shard)) continue;
    throw damaged(
      `${INDEX} weight_map "${name}"`,
      "the name of a .safetensors file beside the index",
      show(shard),
    );
  }
  const shards = new Set(weightMap.values()).size;
  if (shards < 1 || shards > MOST_SHARDS) {
    throw damaged(`${INDEX} weight_map`, `1 to ${MOST_SHARDS} files`, `${shards}`);
  }
  const { total_size: totalSize } = (metadata ?? {}) as { total_size?: unknown };
  if (Number.isSafeInteger(totalSize)) return { weightMap, totalSize: totalSize as number };
  // Values of less than a byte add up to fractions in some libraries.
  if (totalSize === undefined || totalSize === null || typeof totalSize === "number") return { weightMap };
  throw damaged(`${INDEX} metadata.total_size`, "a whole number of bytes", show(totalSize));
}

function checkShard(
  shard: string,
  file: WeightFile,
  names: ReadonlySet<string>,
  weightMap: ReadonlyMap<string, string>,
): void {
  const held = new Set(file.tensors.map(({ name }) => name));
  for (const name of held) {
    if (names.has(name)) continue;
    throw damaged(`tensor "${name}"`, `in ${weightMap.get(name) ?? "no shard"} by ${INDEX}`, `in ${shard}`);
  }
  for (const name of names) {
    if (!held.has(name)) throw damaged(`tensor "${name}"`, `in ${shard} by ${INDEX}`, "not there");
  }
}

function checkTotal(files: readonly WeightFile[], totalSize: number | undefined): void {
  const bytes = files.flatMap(({ tensors }) => tensors).reduce((sum, { begin, end }) => sum + end - begin, 0);
  if (totalSize === undefined || totalSize === bytes) return;
  throw damaged(`${INDEX} metadata.total_size`, `${bytes} bytes, as the shards hold`, `${totalSize}`);
}
