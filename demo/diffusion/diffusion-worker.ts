/** Owns the GPU device, the diffusion transformer and its judge, so that nothing freezes the page. */
import type { AttentionContext } from "webgpu-attention";
import { DiffusionModel, ImageModel, type LoadCheckpointOptions } from "webgpu-attention/transformer";
import { fetchOf, type ModelPlace } from "../common/catalogue.js";
import { openContext, serve } from "../common/worker-host.js";
import type { Progress } from "../common/worker-messages.js";
import type { DiffusionTasks } from "./diffusion-tasks.js";
import { Sampler } from "./sampler.js";

let context: AttentionContext | undefined;
let sampler: Sampler | undefined;
let model: DiffusionModel | undefined;

serve<DiffusionTasks>({
  async open() {
    const { ctx, adapterName } = await openContext();
    context = ctx;
    return adapterName;
  },
  async load(places, signal, report) {
    if (context === undefined) throw new Error("Models are loaded before a device is open.");
    if (sampler) return undefined;
    const options = (name: "sampler" | "classifier", place: ModelPlace) =>
      loading(place, signal, (progress) => report({ model: name, ...progress }));
    // Cancelled in the second, the first is there.
    model ??= await DiffusionModel.load(context, places.sampler.url, options("sampler", places.sampler));
    const { classifier } = places;
    const judge =
      classifier && (await ImageModel.load(context, classifier.url, options("classifier", classifier)));
    sampler = new Sampler(model, judge);
    return undefined;
  },
  async sample(request, signal, report) {
    if (!sampler) throw new Error("Images are asked for before a model is loaded.");
    return sampler.sample(request, signal, report);
  },
});

function loading(
  place: ModelPlace,
  signal: AbortSignal,
  report: (progress: Progress) => void,
): LoadCheckpointOptions {
  return {
    ...{ signal, fetch: fetchOf(place) },
    onProgress: ({ loadedBytes, totalBytes }) => report({ done: loadedBytes, total: totalBytes }),
  };
}
