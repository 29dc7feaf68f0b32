/**
 * `npm run check:wgsl`: the lint over every `.wgsl` file, and every variant of every kernel under Tint and Naga.
 * Exit code 1 when anything failed.
 */
import { isKernel } from "../../src/build/compile-kernel.js";
import { closeTint } from "../../src/build/tint.js";
import { type KernelText, kernelTexts, wgslFiles } from "./kernel-texts.js";
import { naga } from "./naga.js";
import { tint } from "./tint.js";
import { uninitialisedVars } from "./uninitialised-vars.js";
import type { Verdict } from "./verdict.js";

const counts = { passed: 0, failed: 0, skipped: 0 };

function report(what: string, { status, message }: Verdict): void {
  counts[status]++;
  if (status === "failed") console.log(`FAILED ${what}: ${message}`);
}

async function link(files: ReturnType<typeof wgslFiles>): Promise<KernelText[]> {
  const texts: KernelText[] = [];
  for (const file of files) {
    try {
      texts.push(...(await kernelTexts(file)));
    } catch (error) {
      report(`link ${file.name}`, { status: "failed", message: (error as Error).message });
    }
  }
  return texts;
}

async function main(): Promise<void> {
  const files = wgslFiles();
  for (const { name, text } of files) {
    const found = uninitialisedVars(text);
    const lines = found.map(
      (declared) => `${name}:${declared.line}: var ${declared.name} has no initial value`,
    );
    report(
      "lint",
      found.length > 0 ? { status: "failed", message: lines.join("\n  ") } : { status: "passed" },
    );
  }

  const texts = await link(files.filter(({ text }) => isKernel(text)));
  if (texts.length === 0) throw new Error("no kernel found below kernels/");
  for (const [name, compiler] of Object.entries({ Tint: tint, Naga: naga })) {
    const verdicts = await compiler(texts);
    verdicts.forEach((verdict, i) => {
      report(`${name} ${texts[i]!.name}`, verdict);
    });
    const skipped = new Set(
      verdicts.flatMap(({ status, message }) => (status === "skipped" ? [message] : [])),
    );
    for (const reason of skipped) {
      const times = verdicts.filter(({ message }) => message === reason).length;
      console.log(`skipped ${times} of ${texts.length} variants under ${name}: ${reason}`);
    }
  }
  if (counts.skipped > 0) console.log(`${counts.skipped} skipped`);
  console.log(`${counts.passed} passed, ${counts.failed} failed`);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}

main()
  .catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  })
  .finally(closeTint);
