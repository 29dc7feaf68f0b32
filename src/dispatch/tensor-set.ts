import type { Capabilities } from "./capabilities.js";
import { AttentionError } from "./errors.js";
import { stridesOf, type TensorLayout, type TensorView } from "./tensor-view.js";
import { type BufferRange, bindingRange, checkBuffer, checkLayout, checkOutput } from "./validate.js";

/** A tensor as a plan expects it at every `record`. */
export interface TensorSpec {
  readonly layout: TensorLayout;
  readonly output?: boolean;
}

/**
 * Checks the tensors of a `record` call against what was planned, and finds the range to bind for each. Plans hold
 * strides and the unaligned part of offsets in immutable uniforms, so these must be as planned; buffers may change.
 *
 * @param fixed buffers that the plan binds besides, by name; no output may be one of them
 * @throws AttentionError "shape" for a missing, unknown or differently laid out tensor, and as `checkBuffer`, `checkOutput`
 */
export function bindTensors(
  specs: Readonly<Record<string, TensorSpec>>,
  tensors: Readonly<Record<string, TensorView | undefined>>,
  capabilities: Capabilities,
  fixed: Readonly<Record<string, GPUBuffer | readonly GPUBuffer[]>> = {},
): Record<string, BufferRange> {
  for (const [name, view] of Object.entries(tensors)) {
    if (view === undefined || name in specs) continue;
    throw new AttentionError("shape", {
      subject: `record tensor "${name}"`,
      expected: `the planned tensors ${Object.keys(specs).join(", ")}`,
      got: `"${name}"`,
      fix: "Ask for it when planning, or leave it out.",
    });
  }
  const inputs = Object.fromEntries(
    Object.entries(specs)
      .filter(([, spec]) => !spec.output)
      .map(([name]) => [name, tensors[name]?.buffer]),
  );
  const ranges: Record<string, BufferRange> = {};
  const outputs: Record<string, GPUBuffer> = {};
  for (const [name, { layout, output }] of Object.entries(specs)) {
    const view = tensors[name];
    if (!view) {
      throw new AttentionError("shape", {
        subject: `record tensor "${name}"`,
        expected: `a tensor view of shape [${layout.shape}]`,
        got: "none",
        fix: "Give every tensor that was planned.",
      });
    }
    checkLayout(name, view, [layout.dtype]);
    checkSameLayout(name, layout, view, capabilities);
    checkBuffer(name, view, capabilities);
    if (output) {
      checkOutput(name, view, { ...fixed, ...inputs, ...outputs });
      outputs[name] = view.buffer;
    }
    const { offset, size } = bindingRange(view, capabilities);
    ranges[name] = { buffer: view.buffer, offset, size };
  }
  return ranges;
}

function checkSameLayout(
  name: string,
  planned: TensorLayout,
  view: TensorView,
  capabilities: Capabilities,
): void {
  const same = (a: readonly number[], b: readonly number[]) => a.every((value, index) => value === b[index]);
  if (!same(planned.shape, view.shape) || !same(stridesOf(planned), stridesOf(view))) {
    throw new AttentionError("shape", {
      subject: name,
      expected: `shape [${planned.shape}] with strides [${stridesOf(planned)}], as planned`,
      got: `shape [${view.shape}] with strides [${stridesOf(view)}]`,
      fix: "Plan again for this layout; plans are cheap once their pipelines are compiled.",
    });
  }
  const expected = bindingRange(planned, capabilities).base;
  if (bindingRange(view, capabilities).base !== expected) {
    const alignment = capabilities.limits.minStorageBufferOffsetAlignment;
    throw new AttentionError("shape", {
      subject: `${name}.offset`,
      expected: `an offset that lies ${expected} elements past a multiple of ${alignment} bytes, as planned`,
      got: `${view.offset ?? 0} elements`,
      fix: "Plan again with this offset, or place the tensor at an aligned offset.",
    });
  }
}
