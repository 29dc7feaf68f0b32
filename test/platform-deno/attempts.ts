import { AttentionContext } from "../../src/index.js";

export interface CaseChecks {
  readonly passed: number;
  /** With what was wrong. */
  readonly failures: readonly string[];
}

/** Runs one check and counts it: what it gives, or throws, is what was wrong. */
export type Attempt = (name: string, check: () => Promise<string | undefined>) => Promise<void>;

/** Checks in a context whose scratch begins as NaN; each is counted by itself. */
export async function attempts(
  device: GPUDevice,
  run: (ctx: AttentionContext, attempt: Attempt) => Promise<void>,
): Promise<CaseChecks> {
  const ctx = await AttentionContext.create(device);
  ctx.fillScratch(Number.NaN);
  const failures: string[] = [];
  let passed = 0;
  await run(ctx, async (name, check) => {
    const failure = await check().catch(String);
    if (failure === undefined) passed++;
    else failures.push(`${name}: ${failure}`);
  });
  ctx.destroy();
  return { passed, failures };
}

/** What is wrong with an error, if it is larger than allowed (or no number). */
export function beyond(error: number, tolerance: number): string | undefined {
  return error <= tolerance ? undefined : `${error} of ${tolerance}`;
}
