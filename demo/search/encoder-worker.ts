/** Owns the GPU device and the encoder, so that neither compiling nor tokenising freezes the page. */
import type { AttentionContext } from "webgpu-attention";
import { SentenceEncoder } from "webgpu-attention/transformer";
import { openContext, serve } from "../common/worker-host.js";
import type { EncoderTasks } from "./encoder-tasks.js";

let context: AttentionContext | undefined;
let encoder: SentenceEncoder | undefined;

serve<EncoderTasks>({
  async open() {
    const { ctx, adapterName } = await openContext();
    context = ctx;
    return adapterName;
  },
  async load(baseUrl, signal, report) {
    if (context === undefined) throw new Error("The encoder is loaded before a device is open.");
    encoder = await SentenceEncoder.load(context, baseUrl, {
      signal,
      onProgress: ({ loadedBytes, totalBytes }) => report({ done: loadedBytes, total: totalBytes }),
    });
  },
  async encode(sentences, signal, report) {
    if (encoder === undefined) throw new Error("The encoder is asked for embeddings before it is loaded.");
    return encoder.encode([...sentences], { signal, onProgress: report });
  },
});
