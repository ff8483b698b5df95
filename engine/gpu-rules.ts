// The rules for a Gpu's options and arguments, and its printed form.

import { type DeviceKernels, kernelsRule } from './device-kernels.ts'
import type { Activations, Precision } from '../kernels/op.ts'
import {
  type Rule,
  callback,
  checkOptions,
  flag,
  having,
  oneOf,
  orNull,
  positive,
  tensor,
  variable,
} from '../kernels/options.ts'
import { isRobust, refuseRobustness } from './robustness.ts'

/** Options of `new Gpu(device)`. */
export interface GpuOptions {
  /** True if `destroy` destroys the device too; false by default, for a device that an app owns. */
  readonly ownsDevice?: boolean
  /** Arithmetic of matrix products and convolutions: 'f32' (the default), 'f16x3' or 'f16'. */
  readonly precision?: Precision
  /** Storage of images for the backward pass: 'f32' (the default) or 'f16'. */
  readonly activations?: Activations
  /** Most milliseconds of a submit, as `Gpu.budget` says; null, the default, for no limit. */
  readonly budget?: number | null
  /** Kernels besides those for any device, as `kernelsFor(device, precision)` resolves to; none by
   *  default. */
  readonly kernels?: DeviceKernels
  /** Called when waiting for the GPU begins; nothing by default. Returns a function to call when
   *  the wait ends. */
  readonly onWait?: () => () => void
}

/** The rules for options that both a Gpu and `openGpu` take. */
export const commonRules = {
  precision: oneOf('f32', 'f16x3', 'f16'),
  activations: oneOf('f32', 'f16'),
  budget: orNull({
    words: 'a finite number of milliseconds above 0',
    fits: (v) => positive.fits(v) && Number.isFinite(v),
  }),
}

const list = { words: 'an array', fits: Array.isArray }
const isPair = (v: unknown) => Array.isArray(v) && v.length === 2 && v.every(tensor.fits)
const pairs = {
  words: 'an array of pairs, [output, cotangent] each',
  fits: (v: unknown) => Array.isArray(v) && v.every(isPair),
}

const tensorsRule: Rule = {
  words: 'an iterable of tensors, such as Object.values(optimizer.parameters)',
  fits: (v) => typeof v === 'object' && v !== null && Symbol.iterator in v,
}

/** The rules for the arguments of a Gpu and its methods. */
export const rules = {
  list,
  pairs,
  variable,
  budget: commonRules.budget,
  backward: { of: tensorsRule },
  variables: {
    words: 'an array of variables',
    fits: (v: unknown) => Array.isArray(v) && v.every(variable.fits),
  },
  device: having('a GPUDevice', 'queue', 'limits', 'lost', 'features'),
}

type Checked = Omit<GpuOptions, 'kernels'> & { readonly kernels?: unknown }

/** Checks the options of `new Gpu(device)`, `kernels` by its own rule, and returns them. Throws
 *  TypeError. */
export function checkGpuOptions<O extends Omit<GpuOptions, 'kernels'>>(
  given: O,
  kernels: Rule = kernelsRule,
): O {
  refuseRobustness('Gpu', given, 'who opened the device has decided on it')
  const of = { ...commonRules, ownsDevice: flag, kernels, onWait: callback }
  checkOptions<Checked>('Gpu', given, of)
  return given
}

/** Prints a Gpu: 'Gpu (llvmpipe, software, f32)'. */
export function showGpu(gpu: {
  readonly device: GPUDevice
  readonly software: boolean
  readonly run: { readonly precision: Precision }
}): string {
  const { description, device, vendor } = gpu.device.adapterInfo ?? {}
  const name = [description, device, vendor].find((words) => words) ?? 'unnamed adapter'
  const unchecked = isRobust(gpu.device) ? '' : ', indices unchecked'
  return `Gpu (${name}${gpu.software ? ', software' : ''}, ${gpu.run.precision}${unchecked})`
}
