import { NORMAL_SOURCE } from "../../_playground/normal-source.js";
import { shapesOf } from "../cases.js";
import type { SoftmaxConfiguration } from "../configuration.js";
import { biasShape, fusedWidth, inputLayouts } from "./layouts.js";
import type { PlaygroundCase } from "./read-values.js";

/** How the program chooses its kernel; default as the library does. */
export interface SnippetChoice {
  readonly configuration?: SoftmaxConfiguration | undefined;
  readonly measure?: boolean;
}

/** A module that computes what the playground computes: the same inputs, options, kernel. Numbers are drawn in the same order. */
export function softmaxSnippet(problem: PlaygroundCase, how: SnippetChoice = {}): string {
  const { configuration, measure = false } = how;
  const fused = problem.fused ? ", type TensorView" : "";
  const call = configuration ? "planSoftmaxAttention, type SoftmaxProblem" : "softmaxAttention";
  return [
    `import { AttentionContext${fused} } from "webgpu-attention";`,
    `import { ${call} } from "webgpu-attention/softmax";`,
    "",
    "const adapter = await navigator.gpu.requestAdapter();",
    'if (!adapter) throw new Error("WebGPU has no adapter here.");',
    "const device = await adapter.requestDevice(AttentionContext.requirements(adapter));",
    ...(measure
      ? [
          "// Times candidates on this device when a problem is first planned, and remembers the fastest.",
          'const ctx = await AttentionContext.create(device, { tuning: "measure" });',
        ]
      : ["const ctx = await AttentionContext.create(device);"]),
    "",
    NORMAL_SOURCE,
    "const numbers = (count: number) => Float32Array.from({ length: count }, normal);",
    "",
    "// [batch, tokens, heads, dim]",
    ...(problem.fused ? fusedInputs(problem) : denseInputs(problem)),
    ...optionData(problem),
    "",
    ...(configuration ? planned(problem, configuration) : oneShot(problem)),
    "",
    `console.log(await ctx.read(out)); // [${shapesOf(problem).out.join(", ")}]`,
    ...(problem.lse ? [readLse(problem, configuration !== undefined)] : []),
    "",
  ].join("\n");
}

function readLse({ batches, tokensQ, heads }: PlaygroundCase, planned: boolean): string {
  return `console.log(await ctx.read(lse${planned ? "" : "!"})); // [${[batches, tokensQ, heads, 1].join(", ")}]`;
}

/** `1 * 64 * 4 * 64`: sizes are left to be read. */
const product = (sizes: readonly number[]) => sizes.join(" * ");
const list = (sizes: readonly (number | string)[]) => `[${sizes.join(", ")}]`;

function denseInputs(problem: PlaygroundCase): string[] {
  return Object.entries(inputLayouts(problem)).map(([name, { shape, dtype }]) => {
    const storage = dtype === "f32" ? "" : `, "${dtype}"`;
    return `const ${name} = ctx.fromArray(numbers(${product(shape)}), ${list(shape)}${storage});`;
  });
}

function fusedInputs(problem: PlaygroundCase): string[] {
  const { batches, tokensQ, dtype } = problem;
  const layouts = Object.entries(inputLayouts(problem));
  const storage = dtype === "f32" ? "" : `, "${dtype}"`;
  return [
    "// One buffer: q, k and v of a token lie side by side, and each is a strided view of it.",
    `const parts = [${layouts.map(([, { shape }]) => `numbers(${product(shape)})`).join(", ")}];`,
    `const tokens = ${product([batches, tokensQ])};`,
    `const width = ${fusedWidth(problem)};`,
    "const qkv = new Float32Array(tokens * width);",
    "for (let token = 0; token < tokens; token++) {",
    "  let at = token * width;",
    "  for (const part of parts) {",
    "    const size = part.length / tokens;",
    "    qkv.set(part.subarray(token * size, (token + 1) * size), at);",
    "    at += size;",
    "  }",
    "}",
    `const { buffer } = ctx.fromArray(qkv, [${batches}, ${tokensQ}, 1, width]${storage});`,
    `const strides = (dim: number) => [${tokensQ} * width, width, dim, 1] as const;`,
    ...layouts.map(
      ([name, { shape, offset }]) =>
        `const ${name}: TensorView = { buffer, dtype: "${dtype}", shape: ${list(shape)}, strides: strides(${shape[3]}), offset: ${offset} };`,
    ),
  ];
}

/** Declarations of what options refer to. */
function optionData(problem: PlaygroundCase): string[] {
  const { batches, heads, tokensK, options } = problem;
  const lines: string[] = [];
  const bias = biasShape(problem);
  if (bias) lines.push(`const bias = ctx.fromArray(numbers(${product(bias)}), ${list(bias)});`);
  if (options.alibiSlopes) {
    lines.push(
      `const alibiSlopes = Array.from({ length: ${heads} }, (_, head) => 2 ** (-(8 * (head + 1)) / ${heads}));`,
    );
  }
  if (options.sinkLogits) lines.push(`const sinkLogits = Array.from({ length: ${heads} }, normal);`);
  if (options.keyMask) {
    const visible = {
      random: "() => normal() > 0",
      blocks: `(_, i) => (i % ${tokensK}) % 64 >= 40`,
      none: `(_, i) => i >= ${tokensK}`,
    }[options.keyMask];
    lines.push(`const keyMask = Array.from({ length: ${product([batches, tokensK])} }, ${visible});`);
  }
  return lines.length === 0 ? [] : ["", ...lines];
}

/** The options object's entries. */
function optionEntries({ options, lse }: PlaygroundCase): string[] {
  const { causal, queryOffset, window, scale, softcap, alibiSlopes, bias, keyStarts, keyLengths } = options;
  const { keyMask, sinkLogits, rope } = options;
  return [
    causal && "causal: true",
    queryOffset !== undefined && `queryOffset: ${literal(queryOffset)}`,
    window && `window: ${literal(window)}`,
    scale !== undefined && `scale: ${literal(scale)}`,
    softcap !== undefined && `softcap: ${literal(softcap)}`,
    alibiSlopes && "alibiSlopes",
    bias && "bias",
    keyStarts && `keyStarts: ${literal(keyStarts)}`,
    keyLengths && `keyLengths: ${literal(keyLengths)}`,
    keyMask && "keyMask",
    sinkLogits && "sinkLogits",
    rope && `rope: ${literal(rope)}`,
    lse && "lse: true",
  ].filter((entry) => typeof entry === "string");
}

function oneShot(problem: PlaygroundCase): string[] {
  const results = problem.lse ? "{ out, lse }" : "{ out }";
  const entries = optionEntries(problem);
  if (entries.length === 0) return [`const ${results} = await softmaxAttention(ctx, q, k, v);`];
  return [`const ${results} = await softmaxAttention(ctx, q, k, v, ${braces(entries)});`];
}

function planned(problem: PlaygroundCase, configuration: SoftmaxConfiguration): string[] {
  const { batches, tokensQ, heads, dtype } = problem;
  const storage = dtype === "f32" ? "" : `, "${dtype}"`;
  const tensors = [
    "q",
    "k",
    "v",
    ...(problem.options.bias ? ["bias"] : []),
    "out",
    ...(problem.lse ? ["lse"] : []),
  ];
  const entries = optionEntries(problem).filter((entry) => entry !== "lse: true" && entry !== "bias");
  return [
    `const out = ctx.empty(${list(shapesOf(problem).out)}${storage});`,
    ...(problem.lse ? [`const lse = ctx.empty(${list([batches, tokensQ, heads, 1])});`] : []),
    `const tensors = { ${tensors.join(", ")} };`,
    `const problem: SoftmaxProblem = ${braces(["...tensors", ...entries])};`,
    `const configuration = ${literal(configuration)} as const;`,
    "const plan = await planSoftmaxAttention(ctx, problem, { configuration });",
    "// In parts that are short enough for the browser; plan.record records all of them at once.",
    "for (const segment of plan.segments) {",
    "  const encoder = device.createCommandEncoder();",
    "  segment.record(encoder, tensors);",
    "  device.queue.submit([encoder.finish()]);",
    "}",
  ];
}

/** `{ a, b }` on one line, or on several when it is long. */
function braces(entries: readonly string[]): string {
  const line = `{ ${entries.join(", ")} }`;
  return line.length <= 60 ? line : `{\n${entries.map((entry) => `  ${entry},\n`).join("")}}`;
}

/** A value as TypeScript. Keys are identifiers. */
function literal(value: unknown): string {
  if (Array.isArray(value)) return list(value.map(literal));
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value).filter(([, member]) => member !== undefined);
    if (entries.length === 0) return "{}";
    return `{ ${entries.map(([key, member]) => `${key}: ${literal(member)}`).join(", ")} }`;
  }
  // JSON has neither NaN nor infinities.
  return typeof value === "number" ? String(value) : JSON.stringify(value);
}
