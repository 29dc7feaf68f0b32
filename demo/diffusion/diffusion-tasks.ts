import type { ModelPlace } from "../common/catalogue.js";
import type { HeadPlace } from "../common/heads.js";
import type { OpenTask, Progress } from "../common/worker-messages.js";

/** What the page asks of the worker that has the diffusion transformer. */
export interface DiffusionTasks {
  readonly open: OpenTask;
  /** Loads both models, once; without a classifier there are no verdicts. Progress is in bytes. */
  readonly load: {
    readonly asks: { readonly sampler: ModelPlace; readonly classifier: ModelPlace | undefined };
    readonly reports: Progress & { readonly model: "sampler" | "classifier" };
    readonly gives: undefined;
  };
  /** Progress is in steps. */
  readonly sample: { readonly asks: SampleRequest; readonly reports: Progress; readonly gives: Samples };
}

export interface SampleRequest {
  /** Class of each image, `null` for none. */
  readonly labels: readonly (number | null)[];
  readonly seed: number;
  readonly steps: number;
  /** Of classifier-free guidance; 1 for none. */
  readonly guidance: number;
  /** SoftPAG's; w = 0 for none. */
  readonly perturbation: { readonly heads: readonly HeadPlace[]; readonly u: number; readonly w: number };
}

export interface Samples {
  /** Pixels of a side. */
  readonly size: number;
  readonly channels: number;
  /** [images, channels, rows, columns] */
  readonly pixels: Uint8ClampedArray;
  /** What the classifier takes each image for; absent where none reads images of this size. */
  readonly verdicts?: readonly Verdict[];
}

export interface Verdict {
  readonly label: number;
  /** How sure the classifier is, from 0 to 1. */
  readonly confidence: number;
}
