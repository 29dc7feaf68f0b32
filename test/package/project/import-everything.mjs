// node import-everything.mjs ENTRY...: imports every entry and prints which browser globals that touched, as JSON.
const WATCHED = [
  "navigator",
  "window",
  "self",
  "document",
  "location",
  "HTMLElement",
  "OffscreenCanvas",
  "GPU",
  "GPUAdapter",
  "GPUBuffer",
  "GPUBufferUsage",
  "GPUDevice",
  "GPUMapMode",
  "GPUShaderStage",
  "GPUTextureUsage",
];

const touched = [];
for (const name of WATCHED) {
  const value = globalThis[name];
  Object.defineProperty(globalThis, name, {
    configurable: true,
    get() {
      touched.push(name);
      return value;
    },
  });
}

const exported = {};
for (const entry of process.argv.slice(2)) exported[entry] = Object.keys(await import(entry));
console.log(JSON.stringify({ touched, exported }));
