/** Which kernel runs, with which tile. Every configuration gives the same result up to rounding. Plain data: it is stored. */
export type SoftmaxConfiguration =
  | TiledConfiguration
  | RowsConfiguration
  | SplitConfiguration
  | StripsConfiguration;

/** `tiled.wgsl`: a workgroup shares a tile of rows; weights change hands through workgroup memory. */
export interface TiledConfiguration {
  readonly kernel: "tiled";
  /** Row groups of a workgroup. */
  readonly groups: number;
  /** Threads of a row group; they share out keys, then value columns. */
  readonly lanes: number;
  /** Query rows of a thread. */
  readonly rows: number;
  /** Keys of a thread in a tile. */
  readonly keys: number;
  /** Whether keys and values of a tile are read into workgroup memory first. */
  readonly staged: boolean;
  /** Whether f16 storage is read, and staged, as f16. Needs the feature `shader-f16`. */
  readonly f16: boolean;
}

/** `rows.wgsl`: a thread has rows of its own and everything in registers; no barriers. */
export interface RowsConfiguration {
  readonly kernel: "rows";
  /** Threads of a workgroup. */
  readonly threads: number;
  /** Query rows of a thread. */
  readonly rows: number;
  /** Keys of a tile, a multiple of 4 up to 32. */
  readonly keys: number;
  /** vec4 value columns of a thread. */
  readonly columns: number;
  /** Whether quads of threads share loads of keys and values. Needs the feature `subgroups`. */
  readonly subgroups: boolean;
  /** Whether loops over registers are unrolled before the driver sees them. */
  readonly unroll: boolean;
  readonly f16: boolean;
}

/** `split.wgsl` and `merge.wgsl`: a workgroup takes a range of the keys. For few query rows, or very long ones. */
export interface SplitConfiguration {
  readonly kernel: "split";
  /** Threads of a workgroup, and keys of its tile: a power of two from 16 to 256. */
  readonly threads: number;
  /** Keys that a workgroup should have at least. */
  readonly keysPerSplit: number;
  readonly f16: boolean;
}

/** `strips.wgsl` and `merge.wgsl`: a thread takes a range of the keys by itself, in registers; no barriers. */
export interface StripsConfiguration {
  readonly kernel: "strips";
  readonly threads: number;
  /** Keys of a tile, up to 32. */
  readonly keys: number;
  /** vec4 value columns of a thread. */
  readonly columns: number;
  /** Keys that a thread should have at least. */
  readonly keysPerSplit: number;
  readonly unroll: boolean;
  readonly f16: boolean;
}

/** A few words for people: `"rows 8 x 8, 4 threads, subgroups, unrolled"`. Different configurations have different names. */
export function configurationName(configuration: SoftmaxConfiguration): string {
  const flags = Object.entries(configuration).flatMap(([name, value]) =>
    value === true ? [name === "unroll" ? "unrolled" : name] : [],
  );
  return [...sizes(configuration), ...flags].join(", ");
}

function sizes(configuration: SoftmaxConfiguration): string[] {
  switch (configuration.kernel) {
    case "tiled": {
      const { groups, lanes, rows, keys } = configuration;
      return [`tiled ${rows} x ${keys}`, `${groups} x ${lanes} threads`];
    }
    case "rows": {
      const { rows, keys, columns, threads } = configuration;
      return [`rows ${rows} x ${keys}`, `${columns} columns`, `${threads} threads`];
    }
    case "split":
      return [`split by ${configuration.keysPerSplit} keys`, `${configuration.threads} threads`];
    case "strips": {
      const { keys, columns, keysPerSplit, threads } = configuration;
      return [`strips of ${keysPerSplit} keys by ${keys}`, `${columns} columns`, `${threads} threads`];
    }
  }
}
