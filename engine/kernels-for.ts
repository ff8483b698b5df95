// Loads the kernels for devices that few pages meet.

import type { Precision } from '../kernels/op.ts'
import { checkValue } from '../kernels/options.ts'
import { commonRules, rules } from './gpu-rules.ts'
import { type DeviceKernels, traitsOf } from './traits.ts'

/** Loads the kernels by which a device computes faster than by those for any device: on tensor
 *  cores, where the precision allows it, and on adapters on the CPU. Pass them to
 *  `new Gpu(device, { precision, kernels })`; `openGpu` does. Results are equal up to the order of
 *  sums. Throws TypeError. */
export async function kernelsFor(
  device: GPUDevice,
  precision: Precision = 'f32',
): Promise<DeviceKernels> {
  checkValue('kernelsFor', 'device', device, rules.device)
  checkValue('kernelsFor', 'precision', precision, commonRules.precision)
  const { matrices, choosesSubgroups, broadcasts } = traitsOf(device)
  if (matrices && precision !== 'f32') {
    const { onTensorCores } = await import('../kernels/devices/matrix-forms.ts')
    return { forms: onTensorCores(choosesSubgroups), matrices }
  }
  if (!broadcasts) return { forms: new Map(), matrices: false }
  const { cpuForms } = await import('../kernels/devices/cpu-forms.ts')
  return { forms: cpuForms, matrices: false }
}
