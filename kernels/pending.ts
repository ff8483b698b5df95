// A gradient that is computed when it is read first. So batch norm's backward pass, which reads y's
// gradient to sum it, can have it computed and summed in one pass.

import type { DType, Machine, Shape, Tensor } from './op.ts'

/** What batch norm knows of the y whose gradient it reads. */
export interface NormReader {
  /** What was normalised, stored in f16. */
  readonly x: Tensor
  /** Mean and 1 / deviation, [2, C] or more. */
  readonly stats: Tensor
  readonly gamma: Tensor
  readonly beta: Tensor
  /** Whether a ReLU came last. */
  readonly rectified: boolean
  /** ReLU's mask, behind a residual (wgsl/relu-mask.ts), and every how many rows a part of it
   *  has. */
  readonly marks: { readonly bits: Tensor; readonly interleave: number } | null
  /** Added to the gradient. Only with marks. */
  readonly addend: Tensor | null
}

/** y's gradient behind the ReLU, and of chunks of its rows the sums of it and of it times the
 *  normalised x: [2, chunks, C]. */
export interface NormGradient {
  readonly dz: Tensor
  readonly sums: Tensor
}

/** How to compute a gradient. */
interface Ways {
  readonly alone: () => Tensor
  /** Null where a device, or a size, has no such kernel. */
  readonly withNorm: ((reader: NormReader) => NormGradient) | null
}

/** Runs a body whose temporary memory is freed at its end, except that of the tensors it
 *  returns. */
type Scope = <T>(body: () => T, made: (result: T) => readonly Tensor[]) => T

/** A gradient that has no memory yet. */
export class Pending implements Tensor {
  readonly shape: Shape
  readonly dtype: DType
  readonly gpu: Machine
  /** What it is computed from. */
  readonly from: readonly Tensor[]
  readonly #ways: Ways
  readonly #scope: Scope

  /** The gradient of `of`. */
  constructor(of: Tensor, from: readonly Tensor[], ways: Ways, scope: Scope = (body) => body()) {
    const { shape, dtype, gpu } = of
    this.shape = shape
    this.dtype = dtype
    this.gpu = gpu
    this.from = from
    this.#ways = ways
    this.#scope = scope
  }

  /** The same, computed in a scope. */
  within(scope: Scope): Pending {
    return new Pending(this, this.from, this.#ways, scope)
  }

  /** Computes it. */
  compute(): Tensor {
    return this.#scope(this.#ways.alone, (made) => [made])
  }

  /** Whether `computeFor` can be called. */
  get suitsNorm(): boolean {
    return this.#ways.withNorm !== null
  }

  /** Computes it for a batch norm. Throws Error unless `suitsNorm`. */
  computeFor(reader: NormReader): NormGradient {
    const { withNorm } = this.#ways
    if (!withNorm) throw new Error('Pending: no kernel sums this gradient')
    return this.#scope(
      () => withNorm(reader),
      ({ dz, sums }) => [dz, sums],
    )
  }
}

/** The tensors whose memory some gradients need. */
export const neededBy = (gradients: readonly (Tensor | null)[]): readonly Tensor[] =>
  gradients.flatMap((d) => (d instanceof Pending ? d.from : d ? [d] : []))

/** Returns a gradient, computed if it was pending. */
export const computed = (gradient: Tensor): Tensor =>
  gradient instanceof Pending ? gradient.compute() : gradient
