import { SALE_CASES } from "../../kernels/sale/cases.js";
import { checkCase } from "../../kernels/sale/check-case.js";
import { checkGolden, GOLDEN, readGolden } from "../../kernels/sale/check-golden.js";
import { tableConfiguration } from "../../kernels/sale/configuration.js";
import { attempts, beyond, type CaseChecks } from "./attempts.js";

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
  let dot4 = false;
  const checks = await attempts(device, async (ctx, attempt) => {
    for (const problem of SALE_CASES.filter(({ name }) => NAMES.includes(name))) {
      await attempt(problem.name, async () => {
        const { error, tolerance } = await checkCase(ctx, problem);
        return beyond(error, tolerance);
      });
    }
    dot4 = ctx.capabilities.dot4;
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
  });
  return { ...checks, dot4 };
}
