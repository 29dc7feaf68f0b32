import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import {
  AttentionContext,
  AttentionError,
  type AttentionErrorCode,
  type TensorView,
} from "../../src/index.js";
import { testContext, testDevice } from "../../test/support/gpu.js";
import { planSoftmaxAttention, type SoftmaxCallOptions, softmaxAttention } from "./index.js";

const STORAGE = 0x80;
const COPY_DST = 0x08;

let ctx: AttentionContext;
let good: { q: TensorView; k: TensorView; v: TensorView; out: TensorView };
const submit = () => vi.spyOn(ctx.device.queue, "submit");

beforeAll(async () => {
  ctx = await testContext();
  good = {
    q: ctx.empty([2, 10, 4, 8]),
    k: ctx.empty([2, 20, 2, 8]),
    v: ctx.empty([2, 20, 2, 16]),
    out: ctx.empty([2, 10, 4, 16]),
  };
});

afterEach(() => {
  vi.restoreAllMocks();
});

afterAll(() => {
  for (const { buffer } of Object.values(good)) buffer.destroy();
});

type Call = { q?: unknown; k?: unknown; v?: unknown; options?: object };
const small = () => ctx.device.createBuffer({ size: 64, usage: STORAGE });

/** Everything the issue of a wrong call may be; `message` must occur in the error. */
const BAD_CALLS: readonly [string, () => Call, AttentionErrorCode, RegExp][] = [
  [
    "batches that differ",
    () => ({ k: ctx.empty([1, 20, 2, 8]) }),
    "shape",
    /k\.shape\[0\].*expected 2.*got 1/,
  ],
  [
    "head dims that differ",
    () => ({ k: ctx.empty([2, 20, 2, 12]) }),
    "shape",
    /k\.shape\[3\].*expected 8.*got 12/,
  ],
  [
    "k and v of different lengths",
    () => ({ v: ctx.empty([2, 19, 2, 16]) }),
    "shape",
    /v\.shape\[1\].*20.*19/,
  ],
  ["k and v of different heads", () => ({ v: ctx.empty([2, 20, 4, 16]) }), "shape", /v\.shape\[2\].*2.*4/],
  [
    "heads that do not divide",
    () => ({ q: ctx.empty([2, 10, 3, 8]) }),
    "shape",
    /multiple of the 2 key heads/,
  ],
  [
    "three axes",
    () => ({ q: { ...good.q, shape: [2, 10, 8] } }),
    "shape",
    /q\.shape.*\[batch, tokens, heads, dim\]/,
  ],
  [
    "zero tokens",
    () => ({ q: { ...good.q, shape: [2, 0, 4, 8] } }),
    "shape",
    /q\.shape\[1\].*at least 1.*got 0/,
  ],
  ["zero keys", () => ({ k: { ...good.k, shape: [2, 0, 2, 8] } }), "shape", /k\.shape\[1\]/],
  [
    "a size that is missing",
    () => ({ q: { ...good.q, shape: [2, undefined, 4, 8] } }),
    "shape",
    /q\.shape\[1\].*undefined/,
  ],
  ["a BigInt size", () => ({ q: { ...good.q, shape: [2, 10n, 4, 8] } }), "shape", /q\.shape\[1\].*10/],
  ["options that are null", () => ({ options: null as never }), "shape", /options.*an object.*null/],
  ["options that are a string", () => ({ options: "causal" as never }), "shape", /options.*an object/],
  ["a fractional size", () => ({ q: { ...good.q, shape: [2, 10, 4, 7.5] } }), "shape", /7\.5/],
  ["NaN size", () => ({ q: { ...good.q, shape: [2, Number.NaN, 4, 8] } }), "shape", /NaN/],
  [
    "negative strides",
    () => ({ q: { ...good.q, strides: [320, -32, 8, 1] } }),
    "shape",
    /q\.strides\[1\].*-32/,
  ],
  ["negative offset", () => ({ q: { ...good.q, offset: -4 } }), "shape", /q\.offset.*-4/],
  ["q8 queries", () => ({ q: { ...good.q, dtype: "q8" } }), "dtype", /q\.dtype.*"f32" or "f16".*"q8"/],
  [
    "k and v of different types",
    () => ({ k: { ...good.k, dtype: "f16" } }),
    "dtype",
    /v\.dtype.*"f16".*"f32"/,
  ],
  [
    "an out of another type",
    () => ({ options: { out: { ...good.out, dtype: "f16" } } }),
    "dtype",
    /out\.dtype/,
  ],
  ["a softcap of 0", () => ({ options: { softcap: 0 } }), "shape", /softcap.*above 0/],
  ["a negative window", () => ({ options: { window: { left: -1 } } }), "shape", /window\.left.*-1/],
  [
    "a misspelt window side",
    () => ({ options: { window: { lift: 1 } } }),
    "unsupported",
    /"lift".*left, right/,
  ],
  ["a window that is a number", () => ({ options: { window: 5 } }), "shape", /window.*left\?/],
  ["too few slopes", () => ({ options: { alibiSlopes: [1] } }), "shape", /alibiSlopes.*4 values/],
  [
    "a slope of NaN",
    () => ({ options: { alibiSlopes: [1, 1, Number.NaN, 1] } }),
    "shape",
    /alibiSlopes\[2\]/,
  ],
  ["too many sinks", () => ({ options: { sinkLogits: [0, 0, 0, 0, 0] } }), "shape", /sinkLogits.*4 values/],
  ["sinks that are null", () => ({ options: { sinkLogits: null } }), "shape", /sinkLogits.*4 values.*null/],
  [
    "slopes that are null",
    () => ({ options: { alibiSlopes: null } }),
    "shape",
    /alibiSlopes.*4 values.*null/,
  ],
  ["a key mask of the wrong length", () => ({ options: { keyMask: [1, 0] } }), "shape", /keyMask.*40 values/],
  [
    "a key mask buffer too small",
    () => ({ options: { keyMask: ctx.device.createBuffer({ size: 4, usage: STORAGE | 4 }) } }),
    "shape",
    /keyMask buffer.*8 bytes/,
  ],
  [
    "a bias that does not broadcast",
    () => ({ options: { bias: ctx.empty([2, 4, 10, 19]) } }),
    "shape",
    /bias\.shape\[3\].*1 or 20/,
  ],
  [
    "a bias buffer without STORAGE",
    () => ({
      options: {
        bias: { ...ctx.empty([1, 1, 1, 20]), buffer: ctx.device.createBuffer({ size: 80, usage: COPY_DST }) },
      },
    }),
    "unsupported",
    /bias\.buffer\.usage/,
  ],
  ["an odd rotary dim", () => ({ options: { rope: { dim: 3 } } }), "shape", /rope\.dim.*even/],
  ["a rotary dim beyond the head", () => ({ options: { rope: { dim: 10 } } }), "shape", /rope\.dim.*8.*10/],
  ["an unknown rotary option", () => ({ options: { rope: { base: 10 } } }), "unsupported", /"base".*theta/],
  [
    "too few rotary frequencies",
    () => ({ options: { rope: { frequencies: [1] } } }),
    "shape",
    /rope\.frequencies.*4 values/,
  ],
  ["an unknown dtype", () => ({ k: { ...good.k, dtype: "f64" } }), "dtype", /"f64"/],
  ["no dtype", () => ({ k: { ...good.k, dtype: undefined } }), "dtype", /undefined/],
  ["no tensor", () => ({ q: undefined }), "shape", /q: expected a tensor view/],
  ["null", () => ({ v: null }), "shape", /v: expected a tensor view/],
  ["an array for a tensor", () => ({ v: new Float32Array(8) }), "dtype", /v\.dtype/],
  ["no buffer", () => ({ q: { ...good.q, buffer: undefined } }), "shape", /q\.buffer.*GPUBuffer/],
  [
    "a buffer too small",
    () => ({ q: { ...good.q, buffer: small() } }),
    "shape",
    /q\.buffer.*2560 bytes.*64 bytes/,
  ],
  ["an offset past the end", () => ({ q: { ...good.q, offset: 1 } }), "shape", /q\.buffer.*2564 bytes/],
  [
    "a buffer without STORAGE",
    () => ({ k: { ...good.k, buffer: ctx.device.createBuffer({ size: 4096, usage: COPY_DST }) } }),
    "unsupported",
    /k\.buffer\.usage.*STORAGE/,
  ],
  [
    "a mapped buffer",
    () => ({
      k: {
        ...good.k,
        buffer: ctx.device.createBuffer({ size: 4096, usage: STORAGE, mappedAtCreation: true }),
      },
    }),
    "unsupported",
    /k\.buffer.*unmap/,
  ],
  ["an unknown option", () => ({ options: { casual: true } }), "unsupported", /"casual".*causal/],
  ["a causal that is no boolean", () => ({ options: { causal: "yes" } }), "shape", /causal.*yes/],
  ["an infinite scale", () => ({ options: { scale: Number.POSITIVE_INFINITY } }), "shape", /scale.*finite/],
  ["a scale that is a string", () => ({ options: { scale: "0.1" } }), "shape", /scale/],
  ["a fractional query offset", () => ({ options: { queryOffset: 0.5 } }), "shape", /queryOffset.*0\.5/],
  ["too few key lengths", () => ({ options: { keyLengths: [3] } }), "shape", /keyLengths.*2 values.*got 1/],
  [
    "a key length beyond the keys",
    () => ({ options: { keyLengths: [3, 21] } }),
    "shape",
    /keyLengths\[1\].*20.*21/,
  ],
  ["a negative key start", () => ({ options: { keyStarts: [-1, 0] } }), "shape", /keyStarts\[0\].*-1/],
  [
    "a key length of NaN",
    () => ({ options: { keyLengths: [Number.NaN, 0] } }),
    "shape",
    /keyLengths\[0\].*NaN/,
  ],
  ["key lengths as a number", () => ({ options: { keyLengths: 5 } }), "shape", /keyLengths/],
  [
    "a key length buffer without COPY_SRC",
    () => ({ options: { keyLengths: small() } }),
    "unsupported",
    /COPY_SRC/,
  ],
  [
    "a key length buffer too small",
    () => ({ options: { keyLengths: ctx.device.createBuffer({ size: 4, usage: STORAGE | 4 }) } }),
    "shape",
    /keyLengths buffer.*8 bytes.*4 bytes/,
  ],
  [
    "an out of the wrong shape",
    () => ({ options: { out: ctx.empty([2, 10, 4, 8]) } }),
    "shape",
    /out\.shape\[3\].*16.*8/,
  ],
  [
    "an lse of the wrong shape",
    () => ({ options: { lse: ctx.empty([2, 4, 10, 1]) } }),
    "shape",
    /lse\.shape\[1\]/,
  ],
  [
    "out on the buffer of q",
    () => ({ options: { out: { ...good.out, buffer: bigQ().buffer }, lse: false }, q: bigQ() }),
    "unsupported",
    /out\.buffer.*buffer of q/,
  ],
  [
    "an out whose rows overlap",
    () => ({ options: { out: { ...good.out, strides: [640, 64, 8, 1] } } }),
    "shape",
    /out\.strides/,
  ],
];

let big: TensorView | undefined;
function bigQ(): TensorView {
  big ??= { ...ctx.empty([2, 10, 8, 16]), shape: [2, 10, 4, 8] };
  return big;
}

async function errorOf(call: Promise<unknown>): Promise<AttentionError> {
  const error = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error, "the call must fail").toBeInstanceOf(AttentionError);
  return error as AttentionError;
}

describe("a wrong call is a typed error before anything is submitted", () => {
  test.each(BAD_CALLS)("%s", async (_name, make, code, message) => {
    const spy = submit();
    const { options, ...tensors } = make();
    const { q, k, v } = { ...good, ...tensors } as typeof good;
    const error = await errorOf(softmaxAttention(ctx, q, k, v, options as SoftmaxCallOptions));
    expect(error.code).toBe(code);
    expect(error.message).toMatch(message);
    expect(error.details.fix).not.toBe("");
    expect(spy).not.toHaveBeenCalled();
  });

  test("head dimensions beyond 256", async () => {
    const wide = ctx.empty([1, 2, 1, 257]);
    const error = await errorOf(softmaxAttention(ctx, wide, wide, wide));
    expect([error.code, error.message]).toEqual([
      "unsupported",
      expect.stringMatching(/at most 256, got 257/),
    ]);
  });

  test("a tensor beyond the device's binding limit", async () => {
    const limit = ctx.capabilities.limits.maxStorageBufferBindingSize;
    const tokens = Math.floor(limit / 256) + 1;
    const layout = { dtype: "f32", shape: [1, tokens, 1, 64] } as const;
    const error = await errorOf(
      planSoftmaxAttention(ctx, { q: { dtype: "f32", shape: [1, 1, 1, 64] }, k: layout, v: layout }),
    );
    expect([error.code, error.message]).toEqual(["limit", expect.stringContaining(`${limit}`)]);
  });

  test("a wrong record call", async () => {
    const plan = await planSoftmaxAttention(ctx, good);
    const encoder = ctx.device.createCommandEncoder();
    const record = (tensors: object) => () => plan.record(encoder, { ...good, ...tensors } as never);
    expect(record({ k: undefined })).toThrow(/record tensor "k".*none/);
    expect(record({ lse: good.q })).toThrow(/record tensor "lse".*planned tensors/);
    expect(record({ q: ctx.empty([2, 11, 4, 8]) })).toThrow(/as planned/);
    expect(record({ out: { ...good.out, buffer: good.q.buffer } })).toThrow(/out\.buffer/);
    expect(record({ out: { ...good.out, dtype: "f16" } })).toThrow(/out\.dtype/);
    const offset = { ...ctx.empty([2, 20, 4, 8]), shape: [2, 10, 4, 8], offset: 3 };
    expect(record({ q: offset })).toThrow(/q\.offset/);
    plan.destroy();
    expect(record({})).toThrow(/after destroy/);
  });
});

describe("a context that cannot work any more says so", () => {
  test("destroyed", async () => {
    const own = await AttentionContext.create(await testDevice());
    const q = own.empty([1, 1, 1, 4]);
    own.destroy();
    own.destroy();
    expect((await errorOf(softmaxAttention(own, q, q, q))).code).toBe("disposed");
    expect((await errorOf(own.read(q))).code).toBe("disposed");
    expect(() => own.empty([1, 1, 1, 4])).toThrow(AttentionError);
    own.device.destroy();
  });

  test("lost device: one-shot, plan, record, read, new context", async () => {
    const device = await testDevice();
    const own = await AttentionContext.create(device);
    const q = own.empty([1, 1, 1, 4]);
    const plan = await planSoftmaxAttention(own, { q, k: q, v: q });
    const spy = vi.spyOn(device.queue, "submit");
    device.destroy();
    expect((await errorOf(softmaxAttention(own, q, q, q))).code).toBe("device-lost");
    expect((await errorOf(planSoftmaxAttention(own, { q, k: q, v: q }))).code).toBe("device-lost");
    expect((await errorOf(own.read(q))).code).toBe("device-lost");
    const encoder = device.createCommandEncoder();
    expect(() => plan.record(encoder, { q, k: q, v: q, out: q })).toThrow(/device lost/);
    expect((await errorOf(AttentionContext.create(device))).code).toBe("device-lost");
    expect(spy).not.toHaveBeenCalled();
  });

  test("a destroyed buffer", async () => {
    const q = ctx.fromArray(new Float32Array(4), [1, 1, 1, 4]);
    const gone = ctx.fromArray(new Float32Array(4), [1, 1, 1, 4]);
    gone.buffer.destroy();
    const error = await errorOf(softmaxAttention(ctx, q, gone, q));
    expect(error.code).toBe("disposed");
    expect((await errorOf(ctx.read(gone))).code).toBe("disposed");
  });

  test("not a device at all", async () => {
    expect((await errorOf(AttentionContext.create(undefined as never))).code).toBe("unsupported");
    expect((await errorOf(AttentionContext.create({} as never))).code).toBe("unsupported");
  });
});
