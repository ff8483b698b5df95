// Two augmented views of a few pictures, as the training draws them, to be looked at.

import { type Dataset, type Gpu, type TrainConfig, augment } from 'kindred'
import type { Thumbs } from '../common/api.ts'
import { recipeFor } from './encoder.ts'

/** Draws two views of the pictures at `indices` by the draws of `step`. */
export async function drawnViews(
  gpu: Gpu,
  config: TrainConfig,
  {
    set,
    indices,
    step,
  }: {
    readonly set: Dataset
    readonly indices: readonly number[]
    readonly step: number
  },
): Promise<readonly [Thumbs, Thumbs]> {
  const { height, width, channels } = set.image
  const pixels = new Uint8Array(indices.length * height * width * channels)
  await set.read(indices, pixels)
  const draw = async (view: 0 | 1): Promise<Thumbs> => {
    const { normalize: _, ...recipe } = recipeFor(config, view) // colours as they are
    const made = gpu.step(() =>
      gpu.noGrad(() =>
        augment(gpu.tensor(pixels, [indices.length, height, width, channels]), recipe, {
          seed: config.seed,
          step,
          view,
        }),
      ),
    )
    const { size } = config
    return { rgba: rgbaOf(await gpu.read(made)), side: size, count: indices.length }
  }
  return [await draw(0), await draw(1)]
}

/** RGB from 0 to 1 as RGBA bytes. */
function rgbaOf(rgb: Float32Array): Uint8ClampedArray<ArrayBuffer> {
  const rgba = new Uint8ClampedArray((rgb.length / 3) * 4)
  for (let p = 0; p < rgb.length / 3; p++) {
    for (let c = 0; c < 3; c++) rgba[4 * p + c] = 255 * (rgb[3 * p + c] ?? 0)
    rgba[4 * p + 3] = 255
  }
  return rgba
}
