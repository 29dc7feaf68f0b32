import { AttentionError } from "webgpu-attention";
import { checkKnown } from "../check-arguments.js";
import { show } from "../show.js";
import { boundedTemplate } from "./bounded-template.js";

/** One turn of a conversation. Further fields (`name`, `tool_calls`) are the template's affair. */
export interface ChatMessage {
  readonly role: string;
  /** `null` beside `tool_calls`. */
  readonly content: string | null;
  readonly [field: string]: unknown;
}

export interface ChatOptions {
  /** Whether the text ends where the model's answer begins. Default true. */
  readonly addGenerationPrompt?: boolean;
  /** Descriptions of functions, for templates that know them. */
  readonly tools?: readonly unknown[];
  /** Other variables of the template: `{ enable_thinking: false }`. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** Writes a conversation. */
export interface ChatTemplate {
  render(variables: Readonly<Record<string, unknown>>): string;
}

/** @throws AttentionError "shape", "unsupported" */
export function chatVariables(
  messages: readonly ChatMessage[],
  options: ChatOptions,
): Record<string, unknown> {
  checkKnown("chat", options, ["addGenerationPrompt", "tools", "variables"]);
  if (!Array.isArray(messages) || messages.length === 0 || !messages.every(isMessage)) {
    throw new AttentionError("shape", {
      subject: "messages",
      expected: "at least one { role, content }, both strings, or content null beside tool_calls",
      got: show(messages),
      fix: 'For example [{ role: "user", content: "Hello" }].',
    });
  }
  const { addGenerationPrompt = true, tools, variables } = options;
  return { messages, tools: tools ?? null, add_generation_prompt: addGenerationPrompt, ...variables };
}

function isMessage(message: ChatMessage): boolean {
  if (typeof message?.role !== "string") return false;
  return (
    typeof message.content === "string" || (message.content === null && Array.isArray(message.tool_calls))
  );
}

/**
 * A Jinja template with `@huggingface/jinja`, which is loaded for it. Without the package, or where it cannot read the text, writing a
 * conversation is what is refused: a model with a template takes texts as well.
 *
 * @param tokens spelling of special tokens by the names that templates use: `bos_token`
 * @returns whose `render` throws AttentionError "format" for a text that is no template, "unsupported" without the package
 */
export async function chatTemplate(
  text: string,
  tokens: Readonly<Record<string, string>>,
): Promise<ChatTemplate> {
  const used = await jinja();
  if (used instanceof AttentionError) return refusing(used);
  try {
    return rendering(boundedTemplate(used, text), tokens);
  } catch (cause) {
    return refusing(formatError(NO_TEMPLATE, cause));
  }
}

async function jinja(): Promise<typeof import("@huggingface/jinja") | AttentionError> {
  try {
    return await import("@huggingface/jinja");
  } catch (cause) {
    return new AttentionError("unsupported", {
      subject: "chat template",
      expected: "the package @huggingface/jinja, which renders it",
      got: `the error "${cause}"`,
      fix: "Install it: npm install @huggingface/jinja. Texts are encoded without it.",
      cause,
    });
  }
}

function rendering(
  render: (variables: Record<string, unknown>) => string,
  tokens: Readonly<Record<string, string>>,
): ChatTemplate {
  return {
    render(variables) {
      try {
        return render({ ...tokens, ...variables });
      } catch (cause) {
        throw formatError(MESSAGES_REFUSED, cause);
      }
    },
  };
}

function refusing(error: AttentionError): ChatTemplate {
  return {
    render() {
      throw error;
    },
  };
}

/** Templates refuse what they do not take by raising errors of their own. */
const MESSAGES_REFUSED = {
  subject: "chat",
  expected: "messages that the model's chat template takes",
  fix: "Check roles and their order: many templates want user and assistant in turn.",
};

const NO_TEMPLATE = {
  subject: "chat template",
  expected: "a Jinja template that @huggingface/jinja can read",
  fix: "Write the conversation as a text, or place a chat_template.jinja beside the weights that does without what it names.",
};

function formatError(problem: typeof NO_TEMPLATE, cause: unknown): AttentionError {
  const got = `the error "${cause instanceof Error ? cause.message : cause}"`;
  return new AttentionError("format", { ...problem, got, cause });
}
