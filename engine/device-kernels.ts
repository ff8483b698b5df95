// What a Gpu has besides the kernels for any device.

import type { Forms } from '../kernels/form.ts'
import type { Precision } from '../kernels/op.ts'
import { type Rule, rule } from '../kernels/options.ts'

interface For {
  readonly device: GPUDevice
  /** The precision that they are for; null for all. */
  readonly precision?: Precision | null
}

/** Kernels of a device's own, as `kernelsFor(device, precision)` resolves to. */
export class DeviceKernels {
  readonly device: GPUDevice
  readonly precision: Precision | null
  readonly forms: Forms
  /** Whether sizes suit an adapter on the CPU; null where the device tells. */
  readonly software: boolean | null

  constructor(
    { device, precision = null }: For,
    forms: Forms = new Map(),
    software: boolean | null = null,
  ) {
    this.device = device
    this.precision = precision
    this.forms = forms
    this.software = software
  }

  /** Throws Error where they are not for this device and this precision. */
  check({ device, precision }: Required<For>) {
    if (this.device !== device)
      throw new Error(
        'Gpu: kernels are those of another device; give await kernelsFor(device, precision)',
      )
    if (this.precision !== null && this.precision !== precision)
      throw new Error(
        `Gpu: kernels are those for precision '${this.precision}', and precision is '${precision}'; give await kernelsFor(device, '${precision}')`,
      )
  }
}

/** The rule of the option `kernels`. */
export const kernelsRule: Rule = rule(
  'what kernelsFor(device) resolves to',
  (v) => v instanceof DeviceKernels,
)
