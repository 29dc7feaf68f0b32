import { AttentionError } from "webgpu-attention";

/** @throws AttentionError "format" for anything that is no JSON in UTF-8 */
export function parseJson(path: string, bytes: Uint8Array): unknown {
  const text = new TextDecoder("utf-8").decode(bytes);
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new AttentionError("format", {
      subject: path,
      expected: "JSON",
      got: `${text.length} characters that begin with ${JSON.stringify(text.slice(0, 20))}`,
      fix: "Check that the address leads to the model's files and not to a page that says they are missing.",
      cause,
    });
  }
}
