import type { SweepSums } from "./geometry.js";
import type { StatisticsRequest } from "./options.js";
import type { StatisticsShape } from "./problem.js";

/** What a sweep keeps for a request, and which of its sums is which. The order is that of `sweep.wgsl`. */
export interface RequestedSums extends SweepSums {
  /** First sum of a row, by the statistic that is made of it. */
  readonly rowSums: ReadonlyMap<keyof StatisticsRequest, number>;
  /** Sum of a key, by the name of the sweep's constant. */
  readonly columnSums: ReadonlyMap<ColumnSum, number>;
}

export type ColumnSum = "RECEIVED" | "RECEIVED_MAX" | "COUNT_SEEN" | "LOOK_BACK";

const ROW_STATISTICS = ["entropy", "squares", "distance", "windowedDistance", "mass"] as const;

export function requestedSums({ request, softmax }: StatisticsShape): RequestedSums {
  const rowSums = new Map<keyof StatisticsRequest, number>();
  let row = 0;
  for (const name of ROW_STATISTICS) {
    if (request[name] === undefined) continue;
    rowSums.set(name, row);
    row += name === "mass" ? request.mass!.length : 1;
  }
  // Where scores may hide a key, only scores say who sees it.
  const scored = softmax.bias !== undefined || softmax.mods !== undefined;
  const wanted: Readonly<Record<ColumnSum, boolean>> = {
    RECEIVED: Boolean(request.receivedSum || request.receivedMean),
    RECEIVED_MAX: Boolean(request.receivedMax),
    COUNT_SEEN: scored && Boolean(request.receivedMean || request.receivedCount),
    LOOK_BACK: request.futureInfluence !== undefined,
  };
  const names = (Object.keys(wanted) as ColumnSum[]).filter((name) => wanted[name]);
  return {
    rowSums,
    columnSums: new Map(names.map((name, index) => [name, index])),
    row,
    column: names.length,
    columns: request.map?.columns ?? 0,
    top: Math.max(request.topKeys ?? 0, request.argmax ? 1 : 0),
  };
}
