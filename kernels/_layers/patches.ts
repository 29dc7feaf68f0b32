import type { Capabilities } from "../../src/dispatch/capabilities.js";
import { fail } from "../../src/dispatch/check.js";
import type { AttentionContext } from "../../src/dispatch/context.js";
import { bytesOf, checkBindable } from "../../src/dispatch/layout.js";
import { type Pass, spreadWorkgroups } from "../../src/dispatch/pass.js";
import {
  elementCount,
  type Shape4,
  stridesOf,
  type TensorLayout,
  type TensorView,
} from "../../src/dispatch/tensor-view.js";
import { bindingRange, checkLayout, checkOptions } from "../../src/dispatch/validate.js";
import { compileLayer, type LayerPlan } from "./layer-plan.js";
import { checkShape } from "./layouts.js";
import kernel from "./patches.wgsl";

interface PatchOptions {
  /** Side of a patch in pixels; divides height and width. */
  readonly patchSize: number;
  /**
   * `"channels-first"`: a patch is [C, P, P], as the weights of a convolution; `"channels-last"`: [P, P, C], as DiT's last layer
   * gives it. Default `"channels-first"`.
   */
  readonly order?: "channels-first" | "channels-last";
}

export interface PatchesProblem extends PatchOptions {
  /** The image [B, C, H, W] f32, any strides: the axes of a tensor view are read as these. */
  readonly x: TensorLayout;
  /** [B, (H / P) (W / P), 1, C P P], patches row by row. Default dense. */
  readonly out?: TensorLayout;
}

export interface ImageProblem extends PatchOptions {
  /** Patches [B, (H / P) (W / P), 1, C P P] f32, row by row */
  readonly x: TensorLayout;
  /** The image [B, C, H, W], any strides */
  readonly out: TensorLayout;
}

export interface PatchesTensors {
  readonly x: TensorView;
  /** Written. Its buffer is not that of `x`. */
  readonly out: TensorView;
}

interface PatchesShape {
  readonly image: TensorLayout;
  readonly patches: TensorLayout;
  readonly patchSize: number;
  readonly channelsLast: boolean;
  readonly toImage: boolean;
}

const THREADS = 64;
const ORDERS = ["channels-first", "channels-last"] as const;

/**
 * Plans the cut of images into patches (ViT, arXiv 2010.11929): `planMatmul` of these rows is a convolution with stride P.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export function planPatches(
  ctx: AttentionContext,
  problem: PatchesProblem,
): Promise<LayerPlan<PatchesTensors>> {
  return plan(ctx, () => {
    checkOptions("patches", problem, ["x", "out", "patchSize", "order"]);
    checkLayout("x", problem.x, ["f32"]);
    const shape = patchesShape("x", problem.x, problem);
    const out = problem.out ?? { dtype: "f32", shape };
    checkShape("out", out, shape);
    return { image: problem.x, patches: out, toImage: false, ...orderOf(problem) };
  });
}

/**
 * Plans the way back: an image of its patches.
 *
 * @throws AttentionError "shape", "dtype", "unsupported", "limit", "compile", "disposed", "device-lost"
 */
export function planImage(ctx: AttentionContext, problem: ImageProblem): Promise<LayerPlan<PatchesTensors>> {
  return plan(ctx, () => {
    checkOptions("image", problem, ["x", "out", "patchSize", "order"]);
    checkLayout("out", problem.out, ["f32"]);
    checkShape("x", problem.x, patchesShape("out", problem.out, problem));
    return { image: problem.out, patches: problem.x, toImage: true, ...orderOf(problem) };
  });
}

function orderOf({ patchSize, order }: PatchOptions): Pick<PatchesShape, "patchSize" | "channelsLast"> {
  return { patchSize, channelsLast: order === "channels-last" };
}

async function plan(ctx: AttentionContext, check: () => PatchesShape): Promise<LayerPlan<PatchesTensors>> {
  const shape = check();
  const { image, patches, toImage } = shape;
  checkBindable({ image, patches }, ctx.capabilities);
  return compileLayer(ctx, patchesPass(shape, ctx.capabilities), {
    x: { layout: toImage ? patches : image },
    out: { layout: toImage ? image : patches, output: true },
  });
}

/** Shape of the patches of an image. */
function patchesShape(
  name: string,
  { shape: [batches, channels, height, width] }: TensorLayout,
  { patchSize, order = "channels-first" }: PatchOptions,
): Shape4 {
  if (!ORDERS.includes(order))
    fail("unsupported", "order", ORDERS.join(", "), order, "Leave it out for channels-first.");
  if (!Number.isInteger(patchSize) || patchSize < 1 || height % patchSize !== 0 || width % patchSize !== 0)
    fail(
      "shape",
      "patchSize",
      `an integer that divides the ${height} rows and ${width} columns of ${name}`,
      patchSize,
      "Crop or scale the image.",
    );
  return [batches, (height / patchSize) * (width / patchSize), 1, channels * patchSize * patchSize];
}

function patchesPass(
  { image, patches, patchSize, channelsLast, toImage }: PatchesShape,
  capabilities: Capabilities,
): Pass {
  const [, channels, , width] = image.shape;
  const count = elementCount(image.shape);
  return {
    name: "layers/patches",
    kernel,
    variant: "base",
    constants: { TO_IMAGE: toImage, CHANNELS_LAST: channelsLast },
    workgroups: spreadWorkgroups(
      Math.ceil(count / THREADS),
      capabilities.limits.maxComputeWorkgroupsPerDimension,
    ),
    bindings: { x: { tensor: "x" }, out: { tensor: "out" } },
    uniforms: {
      params: {
        strides_patches: stridesOf(patches),
        strides_image: stridesOf(image),
        base_patches: bindingRange(patches, capabilities).base,
        base_image: bindingRange(image, capabilities).base,
        count,
        patch_size: patchSize,
        channels,
        tokens: patches.shape[1],
        columns: width / patchSize,
      },
    },
    cost: { flops: 0, bytes: bytesOf(image, patches) },
  };
}
