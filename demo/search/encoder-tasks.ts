import type { OpenTask, Progress } from "../common/worker-messages.js";

/** What the page asks of the encoder's worker. */
export interface EncoderTasks {
  readonly open: OpenTask;
  /** Loads the model from a folder. Progress is in bytes. */
  readonly load: { readonly asks: string; readonly reports: Progress; readonly gives: undefined };
  /** Embeds each sentence: 512 numbers, length 1. Progress is in sentences. */
  readonly encode: {
    readonly asks: readonly string[];
    readonly reports: Progress;
    readonly gives: Float32Array[];
  };
}
