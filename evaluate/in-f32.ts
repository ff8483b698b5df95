// Solvers need f32, whatever arithmetic the encoder was trained in.

import { DeviceKernels } from '../engine/device-kernels.ts'
import { Gpu } from '../engine/gpu.ts'

/** Returns the Gpu itself if it computes in f32, else one of the same device and kernels that
 *  does. */
export function inF32(gpu: Gpu): Gpu {
  const { device, run } = gpu
  if (run.precision === 'f32') return gpu
  return new Gpu(device, { kernels: new DeviceKernels({ device }, run.forms, run.software) })
}
