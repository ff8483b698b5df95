// A bank of features that stays on the GPU, for queries that come again and again.

import { type Tensor, ShapeError, matrix } from '../kernels/op.ts'
import { mul } from '../kernels/elementwise/mul.ts'
import { l2Normalize } from '../kernels/reduce/l2-normalize.ts'
import { sum } from '../kernels/reduce/sum.ts'
import { checkOptions, checkValue, count, flag } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { checkGpu } from '../models/model.ts'
import {
  type Embeddings,
  type Rows,
  bankRule,
  checkFinite,
  hostRows,
  isHostRows,
  slabRows,
  slabsOf,
} from './slabs.ts'

/** Options of `residentBank`. */
export interface BankOptions {
  /** True when the rows have unit length already; false by default. */
  readonly normalized?: boolean
  /** Most features in one slab; by default as many as the device binds, up to 128 MiB. */
  readonly slab?: number
}

/** Rows of a bank that the device binds at once. */
export interface ResidentSlab {
  /** [m, D], of unit length. */
  readonly rows: Tensor
  /** [m], i32: 0, 1, ... m - 1. */
  readonly places: Tensor
}

/** Features on a GPU, for `nearest`. Made by `residentBank`. */
export class ResidentBank {
  readonly gpu: Gpu
  /** Number of features, and numbers of each. */
  readonly M: number
  readonly D: number
  readonly slabs: readonly ResidentSlab[]

  constructor(
    gpu: Gpu,
    { M, D }: { readonly M: number; readonly D: number },
    slabs: ResidentSlab[],
  ) {
    this.gpu = gpu
    this.M = M
    this.D = D
    this.slabs = slabs
  }

  /** Frees its memory at once. */
  free() {
    for (const { rows, places } of this.slabs) this.gpu.free(rows, places)
  }

  /** Calls `free` at the end of a block with `using`. */
  [Symbol.dispose]() {
    this.free()
  }
}

const rules = { normalized: flag, slab: count }

/** Uploads features [M, D] once, scaled to unit rows, so that `nearest` can search them again and
 *  again. They may be a tensor, on the host, or in parts as `embedSlabs` yields them; on the host,
 *  one part is held at a time. Takes 4 M (D + 1) bytes of the GPU until `free`. Throws ShapeError,
 *  TypeError, RangeError without a row, and Error for features that are not finite. */
export async function residentBank(
  gpu: Gpu,
  features: Tensor | Rows,
  options: BankOptions = {},
): Promise<ResidentBank> {
  checkGpu('residentBank', gpu)
  checkValue('residentBank', 'features', features, bankRule)
  return bankOf('residentBank', gpu, features, checkOptions('residentBank', options, rules))
}

/** Does what `residentBank` does, for options that are checked. Messages begin with `owner`. */
export async function bankOf(
  owner: string,
  gpu: Gpu,
  features: Tensor | Rows,
  { normalized = false, slab }: BankOptions,
): Promise<ResidentBank> {
  const slabs: ResidentSlab[] = []
  let size = { M: 0, D: 0 }
  try {
    for await (const { rows, M, D } of unitSlabs(owner, gpu, features, { normalized, slab })) {
      slabs.push({ rows, places: placesOf(gpu, M) })
      if (size.M > 0 && D !== size.D)
        throw new ShapeError(`${owner}: all parts must have the same width, got ${size.D} and ${D}`)
      size = { M: size.M + M, D }
    }
    if (size.M === 0)
      throw new RangeError(`${owner}: features must have at least one row, got none`)
    await gpu.check()
    return new ResidentBank(gpu, size, slabs)
  } catch (error) {
    for (const { rows, places } of slabs) gpu.free(rows, places)
    throw error
  }
}

/** Returns the numbers 0, 1, ... M - 1. */
export const placesOf = (gpu: Gpu, M: number): Tensor =>
  gpu.tensor(
    Int32Array.from({ length: M }, (_, m) => m),
    [M],
  )

interface UnitSlab extends Pick<Embeddings, 'M' | 'D'> {
  readonly rows: Tensor
}

/** Uploads features, scaled to unit rows, slab by slab. */
async function* unitSlabs(
  owner: string,
  gpu: Gpu,
  features: Tensor | Rows,
  { normalized, slab }: Pick<BankOptions, 'normalized'> & { readonly slab: number | undefined },
): AsyncGenerator<UnitSlab> {
  const unit = (x: Tensor) => (normalized ? x : l2Normalize(x))
  if ('gpu' in features) {
    yield await unitTensor(owner, gpu, features, unit)
    return
  }
  for await (const given of isHostRows(features) ? [features] : features) {
    const part = hostRows(owner, 'features', given)
    const { D } = part
    checkFinite(owner, part.features)
    for (const [start, end] of slabsOf(part.M, slab ?? slabRows(gpu, D))) {
      const own = part.features.subarray(start * D, end * D)
      const M = end - start
      yield { rows: gpu.noGrad(() => unit(gpu.tensor(own, [M, D]))), M, D }
    }
  }
}

/** Returns the rows of a tensor, scaled by `unit`, in memory of their own. */
async function unitTensor(
  owner: string,
  gpu: Gpu,
  features: Tensor,
  unit: (x: Tensor) => Tensor,
): Promise<UnitSlab> {
  if (features.gpu !== gpu) throw new Error(`${owner}: features are on another Gpu; give that one`)
  const [M, D] = matrix(features.shape, `${owner}: features`)
  // copied before any await: a step that runs meanwhile may free the tensor
  const rows = gpu.noGrad(() => unit(mul(features, 1)))
  checkFinite(owner, await gpu.read(gpu.noGrad(() => sum(rows, 1)))) // unit rows have finite sums
  return { rows, M, D }
}
