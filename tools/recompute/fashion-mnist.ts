import { existsSync, readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

const FOLDER = "/usr/share/datasets/fashion-mnist";

export interface LabelledImages {
  /** Bytes [images, 28, 28]. */
  readonly pixels: Uint8Array;
  readonly labels: Uint8Array;
}

/** The 10,000 test images of Debian's package; undefined where that is not installed. */
export function testImages(folder = FOLDER): LabelledImages | undefined {
  const file = (name: string) => `${folder}/t10k-${name}-ubyte.gz`;
  if (!existsSync(file("images-idx3"))) return undefined;
  const read = (name: string, header: number) =>
    new Uint8Array(gunzipSync(readFileSync(file(name)))).slice(header);
  return { pixels: read("images-idx3", 16), labels: read("labels-idx1", 8) };
}
