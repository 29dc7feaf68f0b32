/** Runs in the browser that `npm run generate` drives. */
import { AttentionContext } from "webgpu-attention";
import { LanguageModel } from "webgpu-attention/transformer";
import { openDevice } from "../../demo/common/open-device.js";
import type { GenerateRequest } from "./arguments.js";

/** What the tool gives the page: a place for text, and one for all else. */
interface Outputs {
  writeText(text: string): Promise<void>;
  writeNote(note: string): Promise<void>;
}

async function run(request: GenerateRequest): Promise<void> {
  const { writeText, writeNote } = window as unknown as Outputs;
  const { device, adapterName } = await openDevice();
  const ctx = await AttentionContext.create(device);
  const started = performance.now();
  const model = await LanguageModel.load(
    ctx,
    new URL(`/demo/public/models/${request.model}/`, location.href).href,
    { dtype: request.dtype },
  );
  const loaded = performance.now();
  await writeNote(`${request.model} on ${adapterName}, loaded in ${Math.round(loaded - started)} ms`);
  let [tokens, first] = [0, 0];
  const { prompt, maxTokens, sampling } = request;
  await writeText(prompt);
  for await (const { text } of model.generate(prompt, { maxTokens, sampling })) {
    // The first step compiles.
    if (tokens === 0) first = performance.now();
    tokens++;
    if (text !== "") await writeText(text);
  }
  const seconds = (performance.now() - first) / 1000;
  const rate = tokens > 1 ? `, ${((tokens - 1) / seconds).toFixed(1)} tokens a second after the first` : "";
  await writeNote(`${tokens} tokens${rate}`);
  model.destroy();
  ctx.destroy();
  device.destroy();
}

Object.assign(window, { generate: run });
