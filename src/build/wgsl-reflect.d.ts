// In Node the bare name resolves to a CommonJS file inside an ES module package; this path is the one that loads.
declare module "wgsl_reflect/wgsl_reflect.module.js" {
  export * from "wgsl_reflect";
}
