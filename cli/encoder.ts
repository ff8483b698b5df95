// The encoder of any run, with initial weights.

import type { Gpu } from '../engine/gpu.ts'
import { amdimEncoder } from '../models/amdim-encoder.ts'
import type { Model } from '../models/layers.ts'
import { buildEncoder } from './build.ts'
import type { AnyConfig } from './config.ts'

/** The encoder that a run's configuration says. */
export function encoderOf(gpu: Gpu, config: AnyConfig): Model {
  if (config.method !== 'amdim') return buildEncoder(gpu, config)
  const { width, features, depth, batchNorm } = config.model
  return amdimEncoder(gpu, {
    width,
    features,
    depth,
    batchNorm,
    size: config.size,
    seed: config.seed,
  })
}
