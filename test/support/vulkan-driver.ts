import { existsSync } from "node:fs";

/** Vulkan drivers for machines without a GPU: SwiftShader comes with Debian's Chromium, lavapipe with Mesa. */
const DRIVERS = {
  swiftshader: ["/usr/lib/chromium/vk_swiftshader_icd.json"],
  lavapipe: [
    "/usr/share/vulkan/icd.d/lvp_icd.x86_64.json",
    "/usr/share/vulkan/icd.d/lvp_icd.aarch64.json",
    "/usr/share/vulkan/icd.d/lvp_icd.json",
  ],
} as const;

/** The driver's description file, to be named by `VK_ICD_FILENAMES`; `VK_ICD_FILENAMES` itself wins. */
export function findVulkanCpuDriver(name: keyof typeof DRIVERS = "swiftshader"): string | undefined {
  return process.env.VK_ICD_FILENAMES ?? DRIVERS[name].find((path) => existsSync(path));
}
