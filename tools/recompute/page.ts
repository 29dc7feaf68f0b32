/** The browser's half of `npm run recompute`. */
import { AttentionContext } from "webgpu-attention";
import { DiffusionModel, ImageModel, LanguageModel } from "webgpu-attention/transformer";
import { openDevice } from "../../demo/common/open-device.js";
import { normalArray, randomSource } from "../../test/support/random.js";
import { bitsOfWindow, classesOf, recognised, textWindows } from "./evaluate.js";

/** What the tool gives the page. */
interface Outputs {
  writeNote(note: string): Promise<void>;
}

const folder = (name: string) => new URL(`/demo/public/models/${name}/`, location.href).href;
const note = (text: string) => (window as unknown as Outputs).writeNote(text);

let opened: Promise<{ readonly ctx: AttentionContext; readonly adapter: string }> | undefined;

function open() {
  opened ??= openDevice().then(async ({ device, adapterName }) => ({
    ctx: await AttentionContext.create(device),
    adapter: adapterName,
  }));
  return opened;
}

const page = {
  adapter: async () => (await open()).adapter,

  /** All of a text, windows as they were for the report. */
  async bits(name: string, text: string): Promise<{ bits: number; tokens: number }> {
    const { ctx } = await open();
    const model = await LanguageModel.load(ctx, folder(name), { dtype: "f32" });
    const ids = model.tokenizer!.encode(text, { specialTokens: false });
    const windows = textWindows(ids.length, model.config.context);
    let bits = 0;
    for (const [n, window] of windows.entries()) {
      if (n % 50 === 0) await note(`${name}: window ${n + 1} of ${windows.length}`);
      bits += await bitsOfWindow(model, ids, window);
    }
    model.destroy();
    return { bits, tokens: ids.length };
  },

  /** @param images bytes of test images, @param labels their classes; how many are named rightly */
  async right(name: string, images: readonly number[], labels: readonly number[]): Promise<number> {
    const { ctx } = await open();
    const model = await ImageModel.load(ctx, folder(name), { dtype: "f32" });
    const classes = await classesOf(model, model.pixelsOf(images));
    model.destroy();
    return classes.filter((found, n) => found === labels[n]).length;
  },

  async samples(name: string, judgeName: string, perClass: number): Promise<number> {
    const { ctx } = await open();
    const model = await DiffusionModel.load(ctx, folder(name), { dtype: "f32" });
    const judge = await ImageModel.load(ctx, folder(judgeName), { dtype: "f32" });
    const { image, diffusion } = model.config;
    const numbers = diffusion!.classes * perClass * image!.channels * image!.size ** 2;
    const right = await recognised(model, judge, { noise: normalArray(numbers, randomSource(1)), perClass });
    model.destroy();
    judge.destroy();
    return right;
  },
};

export type RecomputePage = typeof page;

declare global {
  interface Window {
    recompute: RecomputePage;
  }
}

window.recompute = page;
