/** How bytes of pixels become what a model was trained on: (rescale · byte - mean) / std of each channel. */
export interface PixelScale {
  readonly size: number;
  readonly channels: number;
  readonly rescale: number;
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** A model's images as bytes, rounded and cut to what a byte holds. @param images [images, channels, rows, columns] */
export function bytesOf(
  images: Float32Array,
  { size, channels, rescale, mean, std }: PixelScale,
): Uint8ClampedArray {
  // A clamped array rounds by itself.
  return Uint8ClampedArray.from(images, (value, n) => {
    const channel = Math.floor(n / size ** 2) % channels;
    return (value * std[channel]! + mean[channel]!) / rescale;
  });
}

/** An image as a canvas takes it, [rows, columns, RGBA]. @param pixels [channels, rows, columns]; one channel is grey */
export function rgbaOf(pixels: Uint8ClampedArray, channels: number): Uint8ClampedArray<ArrayBuffer> {
  const count = pixels.length / channels;
  const rgba = new Uint8ClampedArray(4 * count);
  for (let pixel = 0; pixel < count; pixel++) {
    for (let colour = 0; colour < 3; colour++) {
      rgba[4 * pixel + colour] = pixels[Math.min(colour, channels - 1) * count + pixel]!;
    }
    rgba[4 * pixel + 3] = 255;
  }
  return rgba;
}
