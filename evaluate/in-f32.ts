// Solvers need f32, whatever arithmetic the encoder was trained in.

import { Gpu } from '../engine/gpu.ts'

/** Returns the Gpu itself if it computes in f32, else one of the same device that does. */
export const inF32 = (gpu: Gpu): Gpu => (gpu.run.precision === 'f32' ? gpu : new Gpu(gpu.device))
