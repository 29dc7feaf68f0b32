import { AttentionError } from "webgpu-attention";
import { brokenNesting, repeatedName } from "./json-structure.js";

/** @throws AttentionError "format" for anything that is no JSON in UTF-8, and values nested without end */
export function parseJson(path: string, bytes: Uint8Array): unknown {
  return parsed(path, new TextDecoder("utf-8").decode(bytes));
}

/**
 * JSON that decides what is loaded: every reader has to understand the same by it.
 *
 * @throws AttentionError "format" for anything that is no JSON in UTF-8, names that an object has twice, and values nested without end
 */
export function parseStrictJson(path: string, bytes: Uint8Array): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw notJson(path, "JSON in UTF-8", "other bytes", cause);
  }
  const value = parsed(path, text);
  const broken = repeatedName(text);
  if (broken) throw notJson(path, broken.expected, broken.got);
  return value;
}

function parsed(path: string, text: string): unknown {
  const broken = brokenNesting(text);
  if (broken) throw notJson(path, broken.expected, broken.got);
  try {
    return JSON.parse(text);
  } catch (cause) {
    const got = `${text.length} characters that begin with ${JSON.stringify(text.slice(0, 20))}`;
    throw notJson(path, "JSON", got, cause);
  }
}

function notJson(subject: string, expected: string, got: string, cause?: unknown): AttentionError {
  return new AttentionError("format", {
    ...{ subject, expected, got, cause },
    fix: "Check that the address leads to the model's files and not to a page that says they are missing, and that they are not damaged.",
  });
}
