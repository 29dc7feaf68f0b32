/** Owns the GPU device and the language model, so that neither compiling nor decoding freezes the page. */
import type { AttentionContext } from "webgpu-attention";
import { LanguageModel } from "webgpu-attention/transformer";
import { fetchOf } from "../common/catalogue.js";
import { openContext, serve } from "../common/worker-host.js";
import { KnownHooks } from "./hook-operations.js";
import { LookingGlass, promptIds } from "./looking-glass.js";
import type { WriteTasks } from "./write-tasks.js";

let context: AttentionContext | undefined;
let loaded: { readonly url: string; readonly model: LanguageModel } | undefined;
const hooks = new KnownHooks();
const glass = new LookingGlass(hooks);

serve<WriteTasks>({
  async open() {
    const { ctx, adapterName } = await openContext();
    context = ctx;
    return adapterName;
  },
  async load(place, signal, report) {
    const { url } = place;
    if (context === undefined) throw new Error("A model is loaded before a device is open.");
    if (loaded?.url === url) return undefined;
    loaded?.model.destroy();
    loaded = undefined;
    const model = await LanguageModel.load(context, url, {
      ...{ signal, fetch: fetchOf(place) },
      onProgress: ({ loadedBytes, totalBytes }) => report({ done: loadedBytes, total: totalBytes }),
    });
    loaded = { url, model };
    return undefined;
  },
  async write({ prompt, maxTokens, sampling, hooks: choices }, signal, report) {
    const model = theModel();
    const pieces = model.generate(promptIds(model, prompt), {
      ...{ maxTokens, sampling, signal, hooks: hooks.of(choices) },
      onProgress: ({ done, total }) => report({ kind: "prompt", done, total }),
    });
    let finished: "stop" | "length" = "length";
    for await (const piece of pieces) {
      report({ kind: "token", id: piece.id, text: piece.text });
      finished = piece.finished ?? finished;
    }
    return { finished };
  },
  look: ({ text, hooks: choices }, signal, report) => glass.look(theModel(), text, choices, signal, report),
  expect: async ({ place, top }) => glass.expect(place, top),
});

function theModel(): LanguageModel {
  if (!loaded) throw new Error("Text is asked for before a model is loaded.");
  return loaded.model;
}
