// Buffers shared with an app, without a copy: an app's as a variable, and a tensor's to bind in the
// app's own commands.

import {
  type DType,
  type Shape,
  type Tensor,
  type Variable,
  ShapeError,
  show,
} from '../kernels/op.ts'
import {
  type Rules,
  checkOptions,
  checkTensor,
  checkValue,
  having,
  oneOf,
  rule,
  whole,
} from '../kernels/options.ts'
import type { Assembly } from './assemble.ts'
import { USAGE, usageNames } from './memory/usages.ts'
import { byteSize, isFloat, wholeWords } from './values.ts'

/** Options of `Gpu.wrap`. */
export interface WrapOptions {
  /** First byte in the buffer, 0 by default; a multiple of the device's
   *  `minStorageBufferOffsetAlignment`, 256 in most. */
  readonly offset?: number
}

/** Where a tensor lies. */
export interface TensorBuffer {
  /** A buffer of the Gpu's device: with the usages STORAGE, UNIFORM, VERTEX, COPY_SRC and COPY_DST,
   *  or an app's own with its own. */
  readonly buffer: GPUBuffer
  /** The tensor's first byte. */
  readonly offset: number
  /** The tensor's bytes, rounded up to whole words of four. */
  readonly size: number
}

const rules: Rules<WrapOptions> = { offset: whole }
const bufferRule = having('a GPUBuffer', 'size', 'usage', 'mapState')
const dtypeRule = oneOf('f32', 'i32', 'u8')
const shapeRule = rule(
  'a shape, an array of whole numbers from 0 on',
  (v) => Array.isArray(v) && v.every(whole.fits),
)

/** Implements `Gpu.wrap`. */
export function wrap(
  { tensors, memory, commands, requiresGrad }: Assembly,
  buffer: GPUBuffer,
  shape: Shape,
  dtype: DType,
  options: WrapOptions | undefined,
): Variable {
  checkValue('Gpu.wrap', 'buffer', buffer, bufferRule)
  checkValue('Gpu.wrap', 'shape', shape, shapeRule)
  checkValue('Gpu.wrap', 'dtype', dtype, dtypeRule)
  const { offset = 0 } = checkOptions('Gpu.wrap', options, rules)
  commands.trace?.refuse('gpu.wrap was called in the step; wrap buffers before it')
  const bytes = byteSize(dtype, shape)
  checkUse(buffer)
  checkRange(buffer, { offset, bytes }, `${dtype} ${show(shape)}`, commands.device)
  const storage = memory.wrap(buffer, { offset, bytes })
  if (!storage)
    throw new Error("Gpu.wrap: the buffer is this Gpu's own, of a tensor; use the tensor itself")
  const variable = tensors.variableOn(storage, { shape: [...shape], dtype })
  if (isFloat(variable)) requiresGrad.add(variable)
  return variable
}

function checkUse({ usage, mapState }: GPUBuffer) {
  if ((usage & USAGE.STORAGE) === 0)
    throw new Error(
      `Gpu.wrap: the buffer must have the usage STORAGE, as kernels bind it, got ${usageNames(usage) || usage}; COPY_SRC lets it be read, COPY_DST written by gpu.write`,
    )
  if (mapState !== 'unmapped')
    throw new Error(`Gpu.wrap: the buffer is ${mapState}; call its unmap() first`)
}

function checkRange(
  { size }: GPUBuffer,
  { offset, bytes }: { readonly offset: number; readonly bytes: number },
  what: string,
  { limits }: GPUDevice,
) {
  const align = limits.minStorageBufferOffsetAlignment
  const most = limits.maxStorageBufferBindingSize
  if (offset % align !== 0)
    throw new RangeError(
      `Gpu.wrap: offset must be a multiple of this device's ${align} bytes, got ${offset}`,
    )
  if (bytes % 4 !== 0)
    throw new ShapeError(
      `Gpu.wrap: ${what} has ${bytes} bytes, and whole words of four are written, so the bytes of yours behind it would be lost; wrap a multiple of 4, such as [${wholeWords(bytes)}], or use a tensor`,
    )
  if (offset + bytes > size)
    throw new ShapeError(
      `Gpu.wrap: ${what} at byte ${offset} needs a buffer of ${offset + bytes} bytes, got one of ${size}`,
    )
  if (bytes > most)
    throw new RangeError(
      `Gpu.wrap: ${what} has ${bytes} bytes and this device binds at most ${most}; wrap a part of it`,
    )
}

/** Implements `Gpu.bufferOf`. */
export function bufferOf({ tensors, commands, steps }: Assembly, tensor: Tensor): TensorBuffer {
  checkTensor('Gpu.bufferOf', 'tensor', tensor)
  if (steps.running)
    throw new Error(
      'Gpu.bufferOf: within a step a tensor has no lasting place; return it, and ask after the step',
    )
  const { block, offset, bytes } = tensors.storage(tensor)
  if (!block) throw new Error('a tensor has no buffer') // tensors.storage has thrown
  commands.finish() // so that what the app submits next comes after it
  return { buffer: block.buffer, offset, size: wholeWords(bytes) }
}
