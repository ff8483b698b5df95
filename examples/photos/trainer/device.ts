// The worker's GPU: opened when it is needed, and again after it was lost or destroyed.

import { type Gpu, openGpu } from 'kindred'

const BUDGET = 8 // ms of a submit, half a frame: the page draws on the same GPU
const SOFTWARE = 50 // on the CPU, where the page draws beside it, and a submit takes longer

let opened: Promise<Gpu> | null = null

/** Resolves to the Gpu, a new one if the last is lost. */
export const theGpu = (): Promise<Gpu> => (opened = after(opened))

async function after(before: Promise<Gpu> | null): Promise<Gpu> {
  const last = await before?.catch(() => null) // an opening that failed is tried again
  if (last && !(await isLost(last))) return last
  last?.destroy()
  const gpu = await openGpu({ budget: BUDGET })
  if (gpu.software) gpu.budget = SOFTWARE
  return gpu
}

const isLost = (gpu: Gpu): Promise<boolean> =>
  Promise.race([
    gpu.device.lost.then(() => true),
    new Promise<boolean>((resolve) => {
      setTimeout(() => resolve(false), 20)
    }),
  ])
