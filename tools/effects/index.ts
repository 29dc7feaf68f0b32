/**
 * `npm run effect -- NAME`: a published effect, measured on the models of this repository; `npm run effect` lists them.
 * Exit code 0: measured, 1: failed, 2: wrong usage.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { runCommand } from "../command/run-command.js";
import { type EffectCommand, HELP, readArguments } from "./arguments.js";
import { CATALOG } from "./catalog.js";
import { withModule } from "./load-module.js";
import { section, withSection } from "./page.js";

const MODELS = new URL("../../demo/public/models/", import.meta.url);
const PAGE = new URL("../../docs/effects.md", import.meta.url);

async function measure({ name, seeds, quick }: EffectCommand): Promise<void> {
  const missing = CATALOG[name].models.filter(
    (model) => !existsSync(new URL(`${model}/config.json`, MODELS)),
  );
  if (missing.length > 0) {
    const [model] = missing;
    throw new Error(
      `${name} needs the model ${missing.join(" and ")} in demo/public/models, which is not there: ` +
        `/usr/bin/python3 tools/train/run_all.py ${model} trains it (tools/train/README.md)`,
    );
  }
  const { report, device } = await withModule<typeof import("./run.js"), Measured>(
    "/tools/effects/run.ts",
    ({ runEffect }) =>
      runEffect(name, {
        ...{ seeds, quick },
        model: (model) => new URL(`${model}/`, MODELS),
        log: (line) => console.error(line),
      }),
  );
  const extra = seeds.length === 3 ? "" : ` --seeds ${seeds.length}`;
  const text = section(report, { command: `npm run effect -- ${name}${extra}`, device });
  console.log(text);
  if (quick) return;
  writeFileSync(PAGE, withSection(readFileSync(PAGE, "utf8"), name, text));
  console.error("written into docs/effects.md");
}

type Measured = Awaited<ReturnType<typeof import("./run.js").runEffect>>;

await runCommand(HELP, async (args) => {
  const command = readArguments(args);
  if (command === "help") return "help";
  await measure(command);
  return true;
});
// Dawn keeps threads that would hold the process.
process.exit();
