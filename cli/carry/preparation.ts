// How images are prepared for an exported encoder, in words that other programs follow.

import type { Model } from '../../models/model.ts'
import type { OpenedEncoder } from '../../run-folder/saved-encoder.ts'

/** An opened encoder with its model on a Gpu. */
export interface ExportedEncoder extends OpenedEncoder {
  readonly model: Model
}

const black = [0, 0, 0]
const white = [1, 1, 1]

/** Describes the preparation of an image, in torchvision's terms: resize the shorter side, cut the
 *  middle square, divide by 255, subtract the mean, divide by the deviation. */
export function preparation({ config, transform }: Pick<OpenedEncoder, 'config' | 'transform'>) {
  const { centerCrop, resample = 'bilinear', normalize } = transform
  return {
    ...{ colours: 'RGB', range: [0, 1] },
    resize: centerCrop?.resize ?? config.size,
    crop: config.size,
    resample,
    mean: normalize?.mean ?? black,
    std: normalize?.std ?? white,
  }
}

/** What a page must know to make the encoder and to prepare its images. */
export const pageSettings = ({ config, model, transform, side }: ExportedEncoder) => ({
  format: 'kindred-encoder',
  version: 1,
  method: config.method,
  encoder: config.model,
  features: model.features,
  weights: 'encoder.safetensors',
  image: { side, transform },
})
