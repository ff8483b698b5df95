// The worker's GPU: opened when it is needed, and again after it was lost.

import { type Gpu, openGpu } from 'kindred'

let opened: Promise<Gpu> | null = null

/** Resolves to the Gpu, a new one if the last was lost. */
export async function theGpu(): Promise<Gpu> {
  opened ??= openGpu()
  try {
    const gpu = await opened
    if (!(await isLost(gpu))) return gpu
    gpu.destroy()
  } catch (error) {
    opened = null // so that the user can try again
    throw error
  }
  opened = openGpu()
  return opened
}

/** Tells whether a Gpu's device is lost. */
export const isLost = (gpu: Gpu): Promise<boolean> =>
  Promise.race([
    gpu.device.lost.then(() => true),
    new Promise<boolean>((resolve) => {
      setTimeout(() => resolve(false), 20)
    }),
  ])
