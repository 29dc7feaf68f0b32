/**
 * Dawn's binding polls: while anything is under way it asks again at every turn of Node's event loop, by a native function made for each
 * question. That takes a whole core from a driver on the CPU, which compiles pipelines on the same ones. A millisecond between two questions
 * leaves it to the driver. Call once, before a device is opened.
 */
export function calmPolling(): void {
  const immediate = globalThis.setImmediate;
  const native = (callback: unknown) => Function.prototype.toString.call(callback).includes("[native code]");
  const calm = (callback: (...args: unknown[]) => void, ...args: unknown[]) =>
    native(callback) ? setTimeout(callback, 1) : immediate(callback, ...args);
  globalThis.setImmediate = Object.assign(calm, {
    __promisify__: immediate.__promisify__,
  }) as typeof setImmediate;
}
