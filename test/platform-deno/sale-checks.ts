import { SALE_CASES } from "../../kernels/sale/cases.js";
import { checkCase } from "../../kernels/sale/check-case.js";
import { checkGolden, GOLDEN, readGolden } from "../../kernels/sale/check-golden.js";
import { tableConfiguration } from "../../kernels/sale/configuration.js";
import { AttentionContext } from "../../src/index.js";
import type { CaseChecks } from "./linear-checks.js";

/** Each storage, grouped heads, odd widths, each block: most of a check's second is LLVM compiling it. */
const NAMES = [
  "plain",
  "grouped heads, two batches",
  "blocks of 16 keys",
  "D 33, Dv 7",
  "the same query everywhere",
  "f16, D 5",
];

/** @param golden folder of the golden files, whose masks and integers have to come out bit for bit, with `dot4` and without */
export async function checkSale(device: GPUDevice, golden: string): Promise<CaseChecks & { dot4: boolean }> {
  const ctx = await AttentionContext.create(device);
  ctx.fillScratch(Number.NaN);
  const failures: string[] = [];
  let passed = 0;
  const attempt = async (name: string, check: () => Promise<string | undefined>) => {
    const failure = await check().catch(String);
    if (failure === undefined) passed++;
    else failures.push(`${name}: ${failure}`);
  };
  for (const problem of SALE_CASES.filter(({ name }) => NAMES.includes(name))) {
    await attempt(problem.name, async () => {
      const { error, tolerance } = await checkCase(ctx, problem);
      return error <= tolerance ? undefined : `${error} of ${tolerance}`;
    });
  }
  const { dot4 } = ctx.capabilities;
  for (const name of GOLDEN) {
    const file = readGolden(golden, name);
    for (const products of dot4 ? [true, false] : [false]) {
      const planned = tableConfiguration(file.tensors.get("q")!.shape[3]!, ctx.capabilities);
      const configuration = { ...planned, dot4: products };
      await attempt(`${name}, dot4 ${products}`, async () => {
        await checkGolden(ctx, file, configuration);
        return undefined;
      });
    }
  }
  ctx.destroy();
  return { passed, failures, dot4 };
}
