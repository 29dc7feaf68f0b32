/**
 * `npm run recompute -- [NAME...]`: the figures of the training reports, computed again on the GPU of a headless browser.
 * Exit code 0: all agree, 1: one does not, or could not be computed, 2: wrong usage.
 */
import { readFileSync } from "node:fs";
import type { Page } from "playwright";
import { formatTable } from "../../bench/table.js";
import { withPage } from "../browser/with-page.js";
import { runCommand } from "../command/run-command.js";
import { HELP, MODELS, type RecomputeArguments, readArguments } from "./arguments.js";
import { testImages } from "./fashion-mnist.js";
import { accuracyFigure, agrees, bitsFigure, type Figure, recognisedFigure } from "./figures.js";
import { heldOutText } from "./held-out-text.js";
// The page's declaration of `window.recompute`.
import type {} from "./page.js";

interface Training {
  readonly recipe: { readonly task: "language" | "classifier" | "diffusion" };
  readonly figures: Readonly<Record<string, number>> & { readonly judge?: string };
}

/** Of Fashion-MNIST, of which reports give a sample's share. */
const CLASSES = 10;

/** @throws Error where the data that a figure is of are not there */
async function recompute(page: Page, name: string, perClass?: number): Promise<Figure> {
  const { recipe, figures } = JSON.parse(readFileSync(`${MODELS}${name}/training.json`, "utf8")) as Training;
  switch (recipe.task) {
    case "language": {
      const text = heldOutText();
      const { bits, tokens } = await page.evaluate((asked) => window.recompute.bits(...asked), [
        name,
        text,
      ] as const);
      if (tokens !== figures.tokens)
        throw new Error(`${name}: the report is of ${figures.tokens} tokens, the tokenizer gives ${tokens}`);
      return bitsFigure(name, figures.bits_per_byte!, bits / Buffer.byteLength(text));
    }
    case "classifier": {
      const images = testImages();
      if (!images) throw new Error("Fashion-MNIST is not installed: apt-get install dataset-fashion-mnist");
      const { pixels, labels } = images;
      const given = [name, Array.from(pixels), Array.from(labels)] as const;
      const right = await page.evaluate((asked) => window.recompute.right(...asked), given);
      return accuracyFigure(name, figures.test_accuracy!, right, labels.length);
    }
    case "diffusion": {
      const { recognised, samples } = figures as Record<"recognised" | "samples", number>;
      const each = perClass ?? samples / CLASSES;
      const given = [name, figures.judge ?? "image-softmax", each] as const;
      const right = await page.evaluate((asked) => window.recompute.samples(...asked), given);
      return recognisedFigure(name, { recognised, samples }, right, each * CLASSES);
    }
  }
}

async function recomputeAll({ names, perClass }: RecomputeArguments): Promise<boolean> {
  const served = { name: "recompute", file: "tools/recompute/page.html", global: "recompute" };
  return await withPage(served, async (page) => {
    await page.exposeFunction("writeNote", (text: string) => console.error(text));
    console.error(await page.evaluate(() => window.recompute.adapter()));
    const figures: Figure[] = [];
    let missing = false;
    for (const name of names) {
      try {
        figures.push(await recompute(page, name, perClass));
      } catch (error) {
        console.error((error as Error).message);
        missing = true;
      }
    }
    console.log(formatFigures(figures));
    return !missing && figures.every(agrees);
  });
}

function formatFigures(figures: readonly Figure[]): string {
  const rows = figures.map((figure) => [
    `${figure.model}, ${figure.what}`,
    figure.reported.toFixed(5),
    figure.found.toFixed(5),
    figure.tolerance.toFixed(5),
    agrees(figure) ? "yes" : "no",
  ]);
  return formatTable(["figure", "reported", "found", "may differ by", "agrees"], rows).join("\n");
}

await runCommand(HELP, async (args) => {
  const asked = readArguments(args);
  return asked === "help" ? "help" : await recomputeAll(asked);
});
