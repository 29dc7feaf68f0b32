import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import { powerOfTwo } from "../../src/dispatch/power-of-two.js";
import { checkOptions } from "../../src/dispatch/validate.js";
import type { SoftmaxConfiguration } from "./configuration.js";
import { fits, type Sizes, workgroupBytes, workgroupThreads } from "./sizes.js";

type Range = readonly [min: number, max: number, multipleOf?: number];

/** Statements that loops over registers may unroll to: some seconds of compilation. */
const MOST_UNROLLED = 8192;

/** What each kernel's numbers may be. */
const NUMBERS: Readonly<Record<SoftmaxConfiguration["kernel"], Readonly<Record<string, Range>>>> = {
  tiled: { groups: [1, 256], lanes: [1, 64], rows: [1, 16], keys: [1, 16] },
  rows: { threads: [1, 256], rows: [1, 16], keys: [4, 32, 4], columns: [1, 64] },
  split: { threads: [16, 256], keysPerSplit: [1, 2 ** 30] },
  strips: { threads: [1, 256], keys: [1, 32], columns: [1, 64], keysPerSplit: [1, 2 ** 30] },
};

const FLAGS: Readonly<Record<SoftmaxConfiguration["kernel"], readonly string[]>> = {
  tiled: ["staged", "f16"],
  rows: ["subgroups", "unroll", "f16"],
  split: ["f16"],
  strips: ["unroll", "f16"],
};

/**
 * Checks a configuration that comes from outside: an option, or a profile made on another device or by another version.
 *
 * @throws AttentionError "shape" for numbers out of range, "unsupported" for a kernel or feature that is not there, "limit"
 */
export function checkConfiguration(
  configuration: SoftmaxConfiguration,
  sizes: Sizes,
  capabilities: Capabilities,
): void {
  const { kernel } = configuration ?? {};
  if (!Object.hasOwn(NUMBERS, kernel)) {
    const kernels = Object.keys(NUMBERS).map((name) => `"${name}"`);
    fail("unsupported", "configuration.kernel", kernels.join(", "), kernel, "Leave it out for the table's.");
  }
  const numbers = NUMBERS[kernel];
  checkOptions("configuration", configuration, ["kernel", ...Object.keys(numbers), ...FLAGS[kernel]]);
  const given = configuration as unknown as Readonly<Record<string, unknown>>;
  for (const [name, [min, max, multiple = 1]] of Object.entries(numbers)) {
    const value = given[name] as number;
    const right = Number.isInteger(value) && value >= min && value <= max && value % multiple === 0;
    const kind = multiple === 1 ? "an integer" : `a multiple of ${multiple}`;
    if (!right)
      fail("shape", `configuration.${name}`, `${kind} from ${min} to ${max}`, value, "Choose another.");
  }
  for (const name of FLAGS[kernel]) {
    if (typeof given[name] !== "boolean")
      fail("shape", `configuration.${name}`, "true or false", given[name], "Say which.");
  }
  if (configuration.kernel === "split" && powerOfTwo(configuration.threads) !== configuration.threads)
    fail("shape", "configuration.threads", "a power of two", configuration.threads, "Choose another.");
  if (configuration.kernel === "rows" && configuration.subgroups)
    checkQuads(configuration.threads, capabilities);
  if (configuration.f16 && !capabilities.f16)
    fail("unsupported", "configuration.f16", 'a device with "shader-f16"', "one without", "Set it to false.");
  if ("unroll" in configuration && configuration.unroll) {
    const rows = configuration.kernel === "rows" ? configuration.rows : 8;
    const products = rows * configuration.keys * configuration.columns;
    if (products > MOST_UNROLLED)
      fail(
        "limit",
        "configuration rows x keys x columns",
        `at most ${MOST_UNROLLED} unrolled`,
        products,
        "Choose smaller ones.",
      );
  }
  if (!fits(configuration, sizes, capabilities)) {
    const { maxComputeWorkgroupStorageSize: bytes, maxComputeInvocationsPerWorkgroup: threads } =
      capabilities.limits;
    fail(
      "limit",
      "configuration",
      `at most ${threads} threads and ${bytes} bytes of workgroup memory`,
      `${workgroupThreads(configuration, sizes)} threads and ${workgroupBytes(configuration, sizes)} bytes`,
      "Choose smaller tiles, or request the device with AttentionContext.requirements(adapter).",
    );
  }
}

function checkQuads(threads: number, { subgroups }: Capabilities): void {
  if (!subgroups)
    fail(
      "unsupported",
      "configuration.subgroups",
      'a device with "subgroups"',
      "one without",
      "Set it to false.",
    );
  if (threads % 4 !== 0)
    fail("shape", "configuration.threads", "whole quads of four threads", threads, "Choose a multiple of 4.");
}
