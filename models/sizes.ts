// What sizes a caller may ask for: whole numbers, and rows that the device binds as one tensor.

import { describe } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'

/** Throws RangeError, in the name of `owner`, unless each of the sizes is a whole number from 1
 *  on. */
export function checkSizes(owner: string, sizes: Readonly<Record<string, number>>) {
  for (const [name, size] of Object.entries(sizes))
    if (!Number.isInteger(size) || size < 1)
      throw new RangeError(
        `${owner}: ${name} must be a whole number from 1 on, got ${describe(size)}`,
      )
}

/** Throws Error, in the name of `owner`, where rows of C numbers, so many of what they are called,
 *  are larger than one binding of the device; `remedy` says what to do, knowing how many it
 *  binds. */
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
