// The printed form of tensors.

import type { DType, Machine, Shape, Tensor } from '../kernels/op.ts'
import { inspect, showTensor } from '../kernels/options.ts'

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
