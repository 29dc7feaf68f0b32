/** A `.wgsl` file as the kernel plugin delivers it. */
declare module "*.wgsl" {
  const kernel: import("./kernel-module.js").KernelModule;
  export default kernel;
}
