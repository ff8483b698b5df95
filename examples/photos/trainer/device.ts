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
    opened = reopened()
    return await opened
  } catch (error) {
    opened = null // so that the user can try again
    throw error
  }
}

/** Tells whether a Gpu's device is lost. */
export const isLost = (gpu: Gpu): Promise<boolean> =>
  Promise.race([gpu.device.lost.then(() => true), after(20).then(() => false)])

const PAUSES = [500, 1000, 2000, 4000] // ms; a driver may need seconds until it has a device again

async function reopened(): Promise<Gpu> {
  for (const pause of PAUSES) {
    const gpu = await openGpu().catch(() => null)
    if (gpu && !(await isLost(gpu))) return gpu
    await after(pause)
  }
  return openGpu()
}

const after = (ms: number) =>
  new Promise<void>((resolve) => {
    setTimeout(resolve, ms)
  })
