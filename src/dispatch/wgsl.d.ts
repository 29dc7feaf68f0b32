/** A `.wgsl` file as the kernel plugin delivers it. */
declare module "*.wgsl" {
  const kernel: import("./kernel-module.js").KernelModule;
  export default kernel;
}

/** A `.wgsl` file with one slot function, as a body for that slot. */
declare module "*.wgsl?mod" {
  const mod: import("./kernel-module.js").KernelMod;
  export default mod;
}
