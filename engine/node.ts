// The GPU in Node, through Dawn. The only file that imports 'webgpu'.

import type { Gpu } from './gpu.ts'
import { type OpenOptions, NO_ADAPTER, openFrom } from './open.ts'

export interface NodeOptions extends OpenOptions {
  /** Part of the adapter's name, to choose among several: 'NVIDIA', 'llvmpipe'. */
  readonly adapter?: string
  /** Dawn toggles by name; one that starts with '-' is switched off: ['skip_validation', '-timestamp_quantization']. */
  readonly toggles?: readonly string[]
}

/** What Dawn wants to hear before it offers 16-bit floats on NVIDIA, and subgroup matrices anywhere. */
const halves = ['vulkan_enable_f16_on_nvidia', 'allow_unsafe_apis']

const alive = new Set<unknown>() // Dawn instances: Node crashes when one is collected while its device is used

/** A Gpu in Node, through Dawn. Call destroy() when done. Throws Error when there is no adapter or no 'webgpu' package. */
export async function openGpu({ adapter, toggles = [], ...options }: NodeOptions = {}): Promise<Gpu> {
  const { create } = await import('webgpu').catch((cause: unknown) => {
    throw new Error("the 'webgpu' package (Dawn) is not installed; npm install webgpu", { cause })
  })
  const off = toggles.filter((t) => t.startsWith('-')).map((t) => t.slice(1))
  const on = [...toggles.filter((t) => !t.startsWith('-')), ...halves.filter((t) => !off.includes(t))]
  const instance = create([
    ...(adapter ? [`adapter=${adapter}`] : []),
    ...(on.length > 0 ? [`enable-dawn-features=${on.join(',')}`] : []),
    ...(off.length > 0 ? [`disable-dawn-features=${off.join(',')}`] : []),
  ])
  alive.add(instance)
  try {
    return await openFrom(instance, options, { onWait })
  } catch (cause) {
    if (adapter === undefined || !(cause instanceof Error) || cause.message !== NO_ADAPTER) throw cause
    throw new Error(
      `no WebGPU adapter's name contains '${adapter}'; leave the name out to see what there is`,
      { cause },
    )
  }
}

// While one of its promises is pending, Dawn polls in a loop that burns a core, which a CPU adapter would rather
// compute with. Sleeping a millisecond in each turn of the event loop leaves it the core.
const cell = new Int32Array(new SharedArrayBuffer(4))
let waits = 0
let napping = false

function onWait(): () => void {
  waits++
  if (!napping) setImmediate(nap)
  napping = true
  return () => {
    waits--
  }
}

function nap() {
  napping = waits > 0
  if (!napping) return
  Atomics.wait(cell, 0, 0, 1)
  setImmediate(nap)
}
