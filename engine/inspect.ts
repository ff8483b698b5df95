// The printed form of tensors and of plain objects.

import type { DType, Machine, Shape, Tensor } from '../kernels/op.ts'
import { inspect, showTensor } from '../kernels/options.ts'

/** Lets an object print as a text, in Node's console and as a string. Adds no member that a loop
 *  over it or a copy of it would see. */
export function printsAs<T extends object>(object: T, text: (object: T) => string): T {
  const value = () => text(object)
  return Object.defineProperties(object, { toString: { value }, [inspect]: { value } })
}

/** An object that prints in Node's console as it does as a string. */
export abstract class Printed {
  abstract toString(): string

  [inspect]() {
    return this.toString()
  }
}

/** A tensor that prints as 'Tensor f32 [2, 3]'. */
export class PrintedTensor implements Tensor {
  readonly shape: Shape
  readonly dtype: DType
  readonly gpu: Machine

  constructor(shape: Shape, dtype: DType, gpu: Machine) {
    this.shape = shape
    this.dtype = dtype
    this.gpu = gpu
  }

  toString() {
    return showTensor(this)
  }

  [inspect]() {
    return showTensor(this)
  }
}

/** A variable that prints as 'Variable f32 [2, 3]'. */
export class PrintedVariable extends PrintedTensor {
  readonly mutable = true
}
