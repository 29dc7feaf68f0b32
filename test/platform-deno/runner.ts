/** Runs in Deno (Naga, and llvmpipe where there is no GPU): softmax cases against the reference, a JSON line at the end. */
import { SOFTMAX_CASES } from "../../kernels/softmax/cases.js";
import { checkCase } from "../../kernels/softmax/check-case.js";
import { AttentionContext } from "../../src/index.js";
import {
  registerConfiguration,
  sharedConfiguration,
  stagedConfiguration,
} from "../support/softmax-configurations.js";

const NAMES =
  /^(head dim (1|15|40|64|256)|decode head dim (15|64|256)|causal (9|65|130) tokens|grouped|multi-query|both paddings|right padding|f(16|32) |every key masked|window of one|rope|all options|options with bit)/;

const failures: string[] = [];
let passed = 0;

async function judge(name: string, run: () => ReturnType<typeof checkCase>): Promise<void> {
  try {
    const { out, lse, outTolerance, lseTolerance } = await run();
    if (out <= outTolerance && lse <= lseTolerance) passed++;
    else failures.push(`${name}: out ${out} of ${outTolerance}, lse ${lse} of ${lseTolerance}`);
  } catch (error) {
    failures.push(`${name}: ${error}`);
  }
}

const adapter = await navigator.gpu?.requestAdapter();
if (adapter) {
  const device = await adapter.requestDevice(AttentionContext.requirements(adapter));
  const ctx = await AttentionContext.create(device);
  ctx.fillScratch(Number.NaN);
  for (const problem of SOFTMAX_CASES.filter(({ name }) => NAMES.test(name))) {
    const configurations = {
      shared: sharedConfiguration(problem),
      registers: registerConfiguration(problem, ctx.capabilities),
      // Reads halves as halves where there are any.
      ...(problem.kvDtype === "f16" && {
        "f16 shared": { ...sharedConfiguration(problem), f16: true },
        "f16 staged": stagedConfiguration(problem, true),
        "f16 registers": { ...registerConfiguration(problem, ctx.capabilities), f16: true },
      }),
    };
    for (const [kind, configuration] of Object.entries(configurations))
      await judge(`${kind}: ${problem.name}`, () => checkCase(ctx, problem, configuration));
  }
  console.log(
    JSON.stringify({ adapter: ctx.capabilities.adapter, f16: ctx.capabilities.f16, passed, failures }),
  );
} else {
  console.log(JSON.stringify({ adapter: null, passed, failures }));
}
