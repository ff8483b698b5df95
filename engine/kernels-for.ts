// Loads the kernels for devices that few pages meet.

import type { Forms } from '../kernels/form.ts'
import { loadedLater } from '../kernels/loaded-later.ts'
import type { Precision } from '../kernels/op.ts'
import { checkValue } from '../kernels/options.ts'
import { DeviceKernels } from './device-kernels.ts'
import { commonRules, rules } from './gpu-rules.ts'
import { traitsOf } from './traits.ts'

/** Loads the kernels by which a device computes faster than by those for any device: on tensor
 *  cores, where the precision allows it, and on adapters on the CPU. Pass them to
 *  `new Gpu(device, { precision, kernels })`; `openGpu` does. Results are equal up to the order of
 *  sums. Throws TypeError, and Error where they cannot be fetched. */
export async function kernelsFor(
  device: GPUDevice,
  precision: Precision = 'f32',
): Promise<DeviceKernels> {
  checkValue('kernelsFor', 'device', device, rules.device)
  checkValue('kernelsFor', 'precision', precision, commonRules.precision)
  return new DeviceKernels({ device, precision }, await formsFor(device, precision))
}

async function formsFor(device: GPUDevice, precision: Precision): Promise<Forms> {
  const { matrices, choosesSubgroups, broadcasts } = traitsOf(device)
  const forms = []
  if (broadcasts) {
    const onCpu = () => import('../kernels/devices/cpu-forms.ts')
    forms.push(...(await loadedLater('kernelsFor', onCpu)).cpuForms)
  }
  if (matrices && precision !== 'f32') {
    const onGpu = () => import('../kernels/devices/matrix-forms.ts')
    forms.push(...(await loadedLater('kernelsFor', onGpu)).onTensorCores(choosesSubgroups))
  }
  return new Map(forms)
}
