import type { Fields } from "./fields.js";
import type { ModelConfig } from "./model-config.js";
import type { TensorList } from "./tensor-list.js";

/** A family of models: how their configurations and the tensors of their files are to be understood. */
export interface Architecture {
  /** @throws AttentionError "format", "unsupported" */
  config(fields: Fields): ModelConfig;
  /**
   * The tensors of a file.
   *
   * @param names those that the file has: some families write the same with and without a prefix, or with older names
   */
  tensors(config: ModelConfig, names: ReadonlySet<string>): TensorList;
}
