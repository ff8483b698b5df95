// Solvers need f32, whatever arithmetic the encoder was trained in.

import { Gpu } from '../engine/gpu.ts'

/** Returns the Gpu itself if it computes in f32, else one of the same device that does. */
export function inF32(gpu: Gpu): Gpu {
  const { precision, forms, matrices, software } = gpu.run
  return precision === 'f32' ? gpu : new Gpu(gpu.device, { kernels: { forms, matrices, software } })
}
