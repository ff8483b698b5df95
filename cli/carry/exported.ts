// An encoder that is exported, and what a page must know of it.

import type { Model } from '../../models/model.ts'
import type { OpenedEncoder } from '../../run-folder/saved-encoder.ts'

/** An opened encoder with its model on a Gpu. */
export interface ExportedEncoder extends OpenedEncoder {
  readonly model: Model
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
