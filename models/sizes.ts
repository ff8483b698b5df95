// Checks sizes that a caller asks for: whole numbers, and tensors that the device can bind.

import { describe } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'

/** Throws RangeError unless each size is a whole number from 1 on. The message begins with
 *  `owner`. */
export function checkSizes(owner: string, sizes: Readonly<Record<string, number>>) {
  for (const [name, size] of Object.entries(sizes))
    if (!Number.isInteger(size) || size < 1)
      throw new RangeError(
        `${owner}: ${name} must be a whole number from 1 on, got ${describe(size)}`,
      )
}

/** Throws Error when rows x C floats exceed the device's largest buffer binding. The message begins
 *  with `owner`, names the rows as `called`, and ends with what `remedy` says, given the number of
 *  rows that fit. */
export function checkBinding(
  owner: string,
  { device }: Gpu,
  [rows, C]: readonly [rows: number, C: number],
  called: string,
  remedy: (most: number) => string,
) {
  const [bytes, largest] = [rows * C * 4, device.limits.maxStorageBufferBindingSize]
  if (bytes > largest)
    throw new Error(
      `${owner}: ${rows} ${called} of ${C} numbers need ${bytes} bytes and this adapter binds at most ${largest}; ${remedy(Math.floor(largest / (C * 4)))}`,
    )
}

/** Throws RangeError unless the second number divides the first. The message begins with
 *  `owner`. */
export function checkDivides(
  owner: string,
  [name, size]: readonly [string, number],
  [part, divisor]: readonly [string, number],
) {
  if (size % divisor !== 0)
    throw new RangeError(`${owner}: ${part} must divide the ${name} ${size}, got ${divisor}`)
}
