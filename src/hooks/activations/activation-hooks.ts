import { type AttentionContext, AttentionError, type TensorView } from "webgpu-attention";
import { checkKnown, fail } from "../check.js";
import type { ActivationName, AttentionHook, AttentionSite } from "../intervention/attention-hook.js";
import { bytesOf, checkUsage, extentOf, recordTensorCopy, type TensorPart } from "./tensor-copy.js";

const NAMES: readonly ActivationName[] = [
  "residualIn",
  "q",
  "k",
  "v",
  "headOutput",
  "attentionOutput",
  "residualOut",
  "logits",
];

const COPY_SRC = 0x4;

export interface CaptureOptions {
  readonly names: readonly ActivationName[];
  /** Default all. */
  readonly layers?: readonly number[];
  /** Default both. */
  readonly phase?: AttentionSite["phase"];
}

/** A hook that keeps copies of activations, of the last time that each was computed. */
export interface ActivationCapture extends Required<Pick<AttentionHook, "activation">> {
  /**
   * What was captured, once the work has been submitted. The capture's: overwritten the next time that the activation is computed, of
   * whatever shape (name a `phase` to keep a prefill's from the steps after it), and gone with `destroy()`.
   */
  get(layer: number, name: ActivationName): TensorView | undefined;
  /** Frees the copies. Submit what was recorded before. */
  destroy(): void;
}

/**
 * Captures activations by name while a model runs (as TransformerLens' cache does). Copies are recorded with the model's own work; memory is
 * allocated when an activation is seen for the first time, or larger than before. It at least doubles then, and what was outgrown lives until
 * `destroy()`, since work that is not submitted yet may copy into it.
 *
 * @throws AttentionError "unsupported" for names that there are not, "shape" without any; when recording, for buffers without COPY_SRC usage
 */
export function captureActivations(ctx: AttentionContext, options: CaptureOptions): ActivationCapture {
  checkKnown("captureActivations", options, ["names", "layers", "phase"]);
  const { names, layers, phase } = options;
  if (!Array.isArray(names))
    fail(
      "shape",
      "captureActivations names",
      "a list of activations",
      names,
      `There are ${NAMES.join(", ")}.`,
    );
  for (const name of names) checkName(name);
  const outgrown: GPUBuffer[] = [];
  const kept = new Map<string, TensorView>();
  const key = (layer: number, name: ActivationName) => `${layer}.${name}`;
  let isDestroyed = false;
  return {
    activation(site, name, encoder, tensor) {
      if (!names.includes(name) || (layers && !layers.includes(site.layer))) return;
      if (phase && phase !== site.phase) return;
      if (isDestroyed) disposed();
      checkUsage(name, tensor.buffer, COPY_SRC, "COPY_SRC");
      const [begin, end] = extentOf(tensor);
      const size = bytesOf(tensor.dtype);
      const from = Math.floor((begin * size) / 4) * 4;
      const bytes = Math.min(Math.ceil((end * size - from) / 4) * 4, tensor.buffer.size - from);
      const known = kept.get(key(site.layer, name))?.buffer;
      const buffer = known && known.size >= bytes ? known : newBuffer(ctx, bytes, name, known?.size);
      if (known && known !== buffer) outgrown.push(known);
      kept.set(key(site.layer, name), { ...tensor, buffer, offset: begin - from / size });
      encoder.copyBufferToBuffer(tensor.buffer, from, buffer, 0, bytes);
    },
    get: (layer, name) => kept.get(key(layer, name)),
    destroy() {
      isDestroyed = true;
      for (const { buffer } of kept.values()) buffer.destroy();
      for (const buffer of outgrown) buffer.destroy();
      kept.clear();
    },
  };
}

/** @param outgrown the size before: doubling bounds the sum of outgrown buffers by the size of the current one */
function newBuffer({ device }: AttentionContext, bytes: number, name: string, outgrown = 0): GPUBuffer {
  const usage = 0x80 | 0x8 | COPY_SRC; // STORAGE, COPY_DST
  const size = Math.max(bytes, Math.min(2 * outgrown, device.limits.maxBufferSize));
  return device.createBuffer({ label: `captured ${name}`, size, usage });
}

function disposed(): never {
  throw new AttentionError("disposed", {
    subject: "activation capture",
    expected: "a capture in use",
    got: "one after destroy()",
    fix: "Make a new one, or take the hook out.",
  });
}

/** Puts an activation of another run in the place of the one that was computed. */
export interface PatchOperation extends TensorPart {
  readonly kind: "patch";
  /** Of the shape and type of the activation: one that `captureActivations` has, for example. */
  readonly source: TensorView;
}

export interface ActivationPatch {
  readonly layer: number;
  readonly name: ActivationName;
  /** Default both: in a model that decodes, the shapes of the two differ. */
  readonly phase?: AttentionSite["phase"];
  readonly operation: PatchOperation;
}

/**
 * Activation patching as a hook: after an activation has been computed and before anything reads it, it, or some of its heads and tokens, becomes
 * that of another run. With `phase` only in the prefill, or in the steps after it; with `entries` only for some of the batch, such as the perturbed
 * pass of a guidance. Recorded as copies, a run of neighbouring elements each: whole tensors and ranges of tokens take one a batch entry, single
 * heads one a token.
 *
 * @throws AttentionError "unsupported" for names and kinds that there are not; when recording, as `recordTensorCopy`
 */
export function patchActivations(patches: readonly ActivationPatch[]): AttentionHook {
  for (const patch of patches) {
    checkKnown("patchActivations", patch, ["layer", "name", "phase", "operation"]);
    const { name, phase, operation } = patch;
    checkName(name);
    if (phase !== undefined && phase !== "prefill" && phase !== "decode")
      fail("unsupported", "patch phase", '"prefill" or "decode"', phase, "Leave it out for both.");
    if (operation?.kind !== "patch")
      fail(
        "unsupported",
        "patch operation",
        '{ kind: "patch", source }',
        operation?.kind,
        "See PatchOperation.",
      );
    checkKnown("patch", operation, ["kind", "source", "heads", "tokens", "entries"]);
  }
  return {
    activation({ layer, phase }, name, encoder, tensor) {
      for (const patch of patches) {
        if (patch.layer !== layer || patch.name !== name || (patch.phase ?? phase) !== phase) continue;
        const { kind: _, source, ...part } = patch.operation;
        recordTensorCopy(encoder, source, tensor, part);
      }
    },
  };
}

function checkName(name: ActivationName): void {
  if (NAMES.includes(name)) return;
  fail("unsupported", "activation", NAMES.join(", "), name, "Choose one of them.");
}
