import type { AttentionHook } from "webgpu-attention/hooks";

/** Numbers for hooks, by which compiled passes are found again. */
export class HookNames {
  readonly #names = new WeakMap<AttentionHook, number>();
  #count = 0;

  of(hooks: readonly AttentionHook[]): number[] {
    return hooks.map((hook) => {
      const name = this.#names.get(hook) ?? this.#count++;
      this.#names.set(hook, name);
      return name;
    });
  }
}
