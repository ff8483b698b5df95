// Opens a GPU from a WebGPU entry point: a browser's navigator.gpu, or Dawn's in Node
// (engine/node.ts).

import type { Activations, Precision } from '../kernels/op.ts'
import { checkOptions, oneOf } from '../kernels/options.ts'
import { type GpuOptions, commonRules } from './gpu-rules.ts'
import { Gpu } from './gpu.ts'
import { kernelsFor } from './kernels-for.ts'
import { refuseRobustness } from './robustness.ts'

/** Options of `openGpu`. */
export interface OpenOptions {
  /** The GPU to choose: 'high-performance' (the default) or 'low-power', where there are two
   *  GPUs. */
  readonly powerPreference?: GPUPowerPreference
  /** Arithmetic of matrix products and convolutions. 'f32', the default, is exact. 'f16x3' keeps
   *  f32's accuracy on tensor cores, if the device has them. 'f16' rounds factors to 16-bit floats;
   *  it is faster still, and gradients need a LossScaler. */
  readonly precision?: Precision
  /** Storage of images for the backward pass. 'f32', the default, keeps them unchanged. 'f16'
   *  rounds them, in half the memory: the same weights give the same loss, and gradients are
   *  rounded. */
  readonly activations?: Activations
  /** Most milliseconds of a submit, as `Gpu.budget` says; null, the default, for no limit. */
  readonly budget?: number | null
}

/** The rules for the options of `openGpu`. */
export const openRules = {
  ...commonRules,
  powerPreference: oneOf('high-performance', 'low-power'),
}

type Make = (device: GPUDevice, options: GpuOptions) => Gpu | Promise<Gpu>

const makeGpu: Make = async (device, options) =>
  new Gpu(device, { ...options, kernels: await kernelsFor(device, options.precision) })

/** Opens a Gpu on the adapter that `entry` gives, with all its optional features and its highest
 *  limits. Throws Error with a remedy if there is no adapter, or it does not support the
 *  precision. */
export async function openFrom(
  entry: GPU,
  given: OpenOptions,
  options: Pick<GpuOptions, 'onWait'> & { readonly noAdapter?: string; readonly make?: Make } = {},
) {
  const { noAdapter = NO_ADAPTER, make = makeGpu, ...of } = options
  const opened = checkOptions('openGpu', given, openRules)
  const { powerPreference = 'high-performance', precision = 'f32', activations = 'f32' } = opened
  const { budget = null } = opened
  const adapter = await entry.requestAdapter({ powerPreference })
  if (!adapter) throw new Error(noAdapter)
  const common = { label: 'kindred', requiredLimits: limitsOf(adapter) }
  const features = [...adapter.features] as GPUFeatureName[] // the adapter's own names
  const device = await adapter.requestDevice({ ...common, requiredFeatures: features }).catch(() =>
    adapter.requestDevice({
      ...common,
      requiredFeatures: features.filter((f) => useful.includes(f)),
    }),
  )
  try {
    return await make(device, { ...of, precision, activations, budget, ownsDevice: true })
  } catch (cause) {
    device.destroy()
    throw cause
  }
}

/** Opens a Gpu in a browser, through navigator.gpu. Throws Error where there is no WebGPU. */
export async function openGpu(options: OpenOptions = {}): Promise<Gpu> {
  refuseRobustness('openGpu', options, 'a browser always checks indices')
  checkOptions('openGpu', options, openRules)
  // absent in Node and in older browsers
  const { navigator, isSecureContext } = globalThis as Page
  const entry = navigator?.gpu
  if (!entry && isSecureContext === false)
    throw new Error('no WebGPU here: browsers give it to secure pages alone; serve over https')
  if (!entry)
    throw new Error(
      "no WebGPU here; use a browser that has it, or in Node import openGpu from 'kindred/node'",
    )
  return openFrom(entry, options, { noAdapter: NO_PAGE_ADAPTER })
}

/** What is used of a page's globals. */
interface Page {
  readonly navigator?: { readonly gpu?: GPU }
  readonly isSecureContext?: boolean
}

/** The message where a browser gives no adapter. */
const NO_PAGE_ADAPTER =
  'no WebGPU adapter: this browser has WebGPU, and found no GPU that it may use; switch on hardware acceleration in its settings, and update the graphics driver'

/** The features that kernels and benches use. They are asked for alone if an adapter refuses to
 *  give all of its features at once. */
const useful: readonly string[] = [
  'shader-f16',
  'subgroups',
  'subgroup-size-control',
  'timestamp-query',
  'chromium-experimental-subgroup-matrix',
]

function limitsOf(adapter: GPUAdapter): Record<string, number> {
  const limits: Record<string, number> = {}
  for (const name in adapter.limits) {
    const value = adapter.limits[name as keyof GPUSupportedLimits] // name is one of its keys
    if (typeof value === 'number') limits[name] = value
  }
  return limits
}

/** The message where there is no adapter. */
export const NO_ADAPTER =
  "no WebGPU adapter; on Linux, install your GPU vendor's Vulkan driver, or Mesa 25 or later for the CPU (./setup does it)"
