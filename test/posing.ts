import { create } from 'webgpu'
import type { Run } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { openFrom } from '../engine/open.ts'

/** The machine's `run`, telling kernels other traits than it has. */
export function posing(gpu: Gpu, traits: Partial<Omit<Run, 'view' | 'tensor'>>): Run {
  const run = (...[kernel, dispatch]: Parameters<Run>) => gpu.run(kernel, dispatch)
  return Object.assign(run, gpu.run, traits)
}

const alive: unknown[] = [] // Node crashes when Dawn's instance is collected while its device is used

/** A Gpu that computes nothing, but compiles every kernel, those with subgroup matrices included. */
export async function nullGpu(): Promise<Gpu> {
  const instance = create(['backend=null', 'enable-dawn-features=allow_unsafe_apis'])
  alive.push(instance)
  return openFrom(instance, {})
}
