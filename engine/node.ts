// Opens a GPU in Node, through Dawn. The only file that imports 'webgpu'.

import { checkOptions, flag, text } from '../kernels/options.ts'
import type { GpuOptions } from './gpu-rules.ts'
import type { Gpu } from './gpu.ts'
import { NodeGpu } from './node-gpu.ts'
import { type OpenOptions, NO_ADAPTER, openFrom, openRules } from './open.ts'
import { leaveUnchecked } from './robustness.ts'
import { keepInFile } from './tune-file.ts'

/** Options of `openGpu` in Node. */
export interface NodeOptions extends OpenOptions {
  /** Part of the adapter's name, to choose among several: 'NVIDIA', 'llvmpipe'; by default
   *  Dawn chooses. */
  readonly adapter?: string
  /** Dawn toggles by name; one that starts with '-' is switched off: ['skip_validation',
   *  '-timestamp_quantization']. None by default. */
  readonly toggles?: readonly string[]
  /** False compiles kernels without WebGPU's checks of indices and loops, on devices that are not
   *  shared with code that you do not trust. Kindred's own kernels give the same bits, since they
   *  keep their indices in range; a kernel of yours that does not reads and writes what it must
   *  not. True by default. */
  readonly robustness?: boolean
  /** True saves the measurements of `gpu.tuner` in the user's cache folder, and uses those made on
   *  this device before; false by default. */
  readonly autotune?: boolean
}

/** Toggles without which Dawn offers no 16-bit floats on NVIDIA, and no subgroup matrices. */
const requiredToggles = ['vulkan_enable_f16_on_nvidia', 'allow_unsafe_apis']
const COARSE = 'timestamp_quantization' // to 65 us, so that web pages get no precise clock

/** The toggle by which Dawn leaves out checks of indices and loops. */
const UNCHECKED = 'disable_robustness'

const NONE_SUITS = 'no suitable backends found' // begins Dawn's error for an unknown adapter name

const instances = new Map<string, GPU>()

const make = (device: GPUDevice, options: GpuOptions) => new NodeGpu(device, options)

const toggleList = { words: 'an array of strings', fits: Array.isArray }
const rules = {
  ...openRules,
  adapter: text,
  toggles: toggleList,
  robustness: flag,
  autotune: flag,
}

/** Opens a Gpu in Node, through Dawn. Call its destroy() when done. Throws Error without an adapter
 *  or without the 'webgpu' package. */
export async function openGpu(given: NodeOptions = {}): Promise<Gpu> {
  const {
    adapter,
    toggles = [],
    robustness,
    autotune = false,
    ...options
  } = checkOptions('openGpu', given, rules)
  const { create } = await import('webgpu').catch((cause: unknown) => {
    throw new Error("the 'webgpu' package (Dawn) is not installed; npm install webgpu", { cause })
  })
  const off = toggles.filter((t) => t.startsWith('-')).map((t) => t.slice(1))
  const asked = toggles.filter((t) => !t.startsWith('-'))
  if (robustness !== undefined) checkToggles(robustness, robustness ? asked : off)
  const unchecked = robustness === false ? [UNCHECKED] : []
  const on = [...asked, ...unchecked, ...requiredToggles.filter((t) => !off.includes(t))]
  if (autotune && !asked.includes(COARSE)) off.push(COARSE)
  const flags = [
    ...(adapter ? [`adapter=${adapter}`] : []),
    ...(on.length > 0 ? [`enable-dawn-features=${on.join(',')}`] : []),
    ...(off.length > 0 ? [`disable-dawn-features=${off.join(',')}`] : []),
  ]
  const instance = instanceFor(create, flags)
  try {
    const gpu = await openFrom(instance, options, { onWait: sleepWhileWaiting, make })
    if (on.includes(UNCHECKED)) leaveUnchecked(gpu.device)
    if (autotune) await keepInFile(gpu.tuner, gpu.device.adapterInfo)
    return gpu
  } catch (cause) {
    if (adapter === undefined || !(cause instanceof Error)) throw cause
    if (![NO_ADAPTER, NONE_SUITS].some((words) => cause.message.startsWith(words))) throw cause
    throw new Error(
      `no WebGPU adapter's name contains '${adapter}'; leave the name out to see what there is`,
      { cause },
    )
  }
}

/** Throws TypeError if toggles of the caller's say the opposite of `robustness`. */
function checkToggles(robustness: boolean, opposite: readonly string[]) {
  if (!opposite.includes(UNCHECKED)) return
  const toggle = `${robustness ? '' : '-'}${UNCHECKED}`
  throw new TypeError(
    `openGpu: robustness is ${robustness}, and toggles list '${toggle}'; leave one of them out`,
  )
}

/** Returns Dawn's instance for these flags, the same in every call. Each takes 1.9 MB that cannot
 *  be freed, and Node crashes when one is collected while its device is used. */
export function instanceFor(create: (flags: string[]) => GPU, flags: readonly string[]): GPU {
  const key = flags.join(' ')
  const instance = instances.get(key) ?? create([...flags])
  instances.set(key, instance)
  return instance
}

// While a promise of Dawn's is pending, it polls in a loop that takes a whole core, which a
// software adapter needs for computing. Sleeping a millisecond in each turn of the event loop
// leaves the core to it.
const cell = new Int32Array(new SharedArrayBuffer(4))
let waits = 0
let isSleeping = false

/** Begins to sleep between turns; returns the function that ends it. */
export function sleepWhileWaiting(): () => void {
  waits++
  if (!isSleeping) setImmediate(sleep)
  isSleeping = true
  return () => {
    waits--
  }
}

function sleep() {
  isSleeping = waits > 0
  if (!isSleeping) return
  Atomics.wait(cell, 0, 0, 1)
  setImmediate(sleep)
}
