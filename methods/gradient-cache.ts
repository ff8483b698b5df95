// Gradient caching (Gao, Zhang, Han and Callan 2021, section 3.2,
// https://arxiv.org/abs/2101.06983): a contrastive loss over a batch of any size, with the
// activations of one part of it in memory.
//
//   z_i = f(x_i) for the parts x_1 ... x_n of a batch;   dL/dθ = Σ_i (dz_i/dθ)ᵀ dL/dz_i
//
// The loss needs all embeddings, which are small. The activations behind them are large, but each
// part's are needed only while its own gradient is computed from dL/dz_i. The price is a second
// forward.

import type { Tensor } from '../kernels/op.ts'
import { accumulate } from '../kernels/optim/accumulate.ts'
import { concat } from '../kernels/shape/concat.ts'
import { callback, checkValue } from '../kernels/options.ts'
import { slice } from '../kernels/shape/slice.ts'
import type { BackwardOptions } from '../engine/backward.ts'
import type { Gpu } from '../engine/gpu.ts'
import { Gradients } from '../engine/optim/gradients.ts'
import type { Mode } from '../models/model.ts'

/** What an encoder returns for n images: one tensor [n, ...], or several, such as AMDIM's maps of
 *  several sizes. */
export type Encoded = Tensor | readonly Tensor[]

/** Encodes one part of a batch. It is called twice and must return the same both times: it draws
 *  random numbers by position, and runs batch norm in the mode given. */
export type Encode<Z extends Encoded = Encoded> = (mode: Mode) => Z

/** The mode of the first forward over a part. */
export const first: Mode = { training: true }

const again: Mode = { training: true, tracking: false } // statistics have moved already

/** Encodes all parts without a gradient, one part's rows behind another's. Frees the activations of
 *  each part before the next. */
export const encodedBy = <Z extends Encoded>(gpu: Gpu, parts: readonly Encode<Z>[]): Z =>
  joined(gpu, parts).z

/** Embeddings without their activations, and the backward pass through them. */
export class GradientCache {
  readonly #gpu: Gpu
  readonly #turns: Turn[] = []

  constructor(gpu: Gpu) {
    this.#gpu = gpu
  }

  /** Encodes all parts, one part's rows behind another's. Gradients flow to these embeddings and no
   *  further. */
  encode<Z extends Encoded>(parts: readonly Encode<Z>[]): Z {
    const { z, rows } = joined(this.#gpu, parts)
    const leaves = listOf(z).map((one) => this.#gpu.leaf(one))
    for (const [i, encode] of parts.entries())
      this.#turns.push({ encode, leaves, rows: rows[i] ?? [] })
    return shapedAs(z, leaves)
  }

  /** Gradient of a loss of the embeddings and of its own variables, times `scale`, with respect to
   *  every variable that it depends on, or to those in `of`. Encodes each part again. */
  backward(loss: Tensor, scale?: Tensor, { of: asked }: BackwardOptions = {}): Gradients {
    const gpu = this.#gpu
    const of = asked && [...asked]
    const encoded = this.#turns.flatMap(({ leaves }) => leaves)
    const cached = gpu.backward(loss, scale, { of: of && [...of, ...encoded] })
    // Gradients of the loss's own variables, such as a learned temperature. Sums made here outlive
    // the turns of `fold`.
    const own = added(gpu, new Map(), cached)
    const sums = gpu.fold(this.#turns, own, (before, { encode, leaves, rows }) => {
      if (!leaves.some((leaf) => cached.has(leaf))) return before
      const weighted = listOf(encode(again)).flatMap((z, i) => {
        const dz = leaves[i] && cached.of(leaves[i])
        return dz ? [[z, cut(dz, rows[i])] as const] : []
      })
      return added(gpu, before, gpu.pullback(weighted, { of }))
    })
    return new Gradients(sums, cached)
  }
}

/** Computes the loss of a batch that is encoded in parts, and its gradients, with the activations
 *  of one part in memory at a time (GradCache, https://arxiv.org/abs/2101.06983). Each of `parts`
 *  is called twice and encodes its own images. `loss` takes the embeddings of all parts, in order,
 *  and returns []; it may have variables of its own. `scale` [] multiplies the gradients; 1 by
 *  default. They are those of every variable that the loss depends on, or of those in `options.of`,
 *  and equal the gradients of one large batch up to rounding, but batch norm uses the statistics
 *  of a part. Throws TypeError unless the parts and the loss are functions, and Error where there
 *  is no part. */
export function gradientCache(
  gpu: Gpu,
  parts: readonly Encode[],
  loss: (z: readonly Tensor[]) => Tensor,
  scale?: Tensor,
  options?: BackwardOptions,
): { loss: Tensor; gradients: Gradients } {
  const functions = {
    words: 'an array of functions',
    fits: (v: unknown) => Array.isArray(v) && v.every(callback.fits),
  }
  checkValue('gradientCache', 'parts', parts, functions)
  checkValue('gradientCache', 'loss', loss, callback)
  const cache = new GradientCache(gpu)
  const L = loss(parts.flatMap((encode) => listOf(cache.encode([encode]))))
  return { loss: L, gradients: cache.backward(L, scale, options) }
}

type Rows = readonly [start: number, end: number]

/** A part to encode again, the embeddings that hold its rows, and which rows of each. */
interface Turn {
  readonly encode: Encode
  readonly leaves: readonly Tensor[]
  readonly rows: readonly Rows[]
}

/** Encodes the parts without a gradient. Returns the embeddings, and each part's rows in each. */
function joined<Z extends Encoded>(gpu: Gpu, parts: readonly Encode<Z>[]) {
  const none: readonly Tensor[] = []
  const rows: (readonly Rows[])[] = []
  let like: Z | null = null
  const all = gpu.fold([parts], none, () => {
    const made = gpu.fold(parts, none, (before, encode) => {
      const z = gpu.noGrad(() => encode(first))
      like ??= z
      const last = rows.at(-1) ?? []
      rows.push(
        listOf(z).map(({ shape: [n = 1] }, i) => [last[i]?.[1] ?? 0, (last[i]?.[1] ?? 0) + n]),
      )
      return [...before, ...listOf(z)]
    })
    const kinds = made.length / parts.length
    return made.slice(0, kinds).map((one, kind) =>
      parts.length === 1
        ? one
        : concat(
            made.filter((_, i) => i % kinds === kind),
            0,
          ),
    )
  })
  if (!like) throw new Error('gradientCache: a batch has at least one part, got none')
  return { z: shapedAs<Z>(like, all), rows }
}

/** Some rows of a tensor. */
const cut = (x: Tensor, [start, end]: Rows = [0, 0]) =>
  end - start === (x.shape[0] ?? 1) ? x : slice(x, 0, start, end)

const listOf = (z: Encoded): readonly Tensor[] => ('gpu' in z ? [z] : z)

/** One tensor or a list of them, as `like` is. */
const shapedAs = <Z extends Encoded>(like: Z, z: readonly Tensor[]): Z =>
  ('gpu' in like ? z[0] : z) as Z // as many as in `like`

/** Adds gradients to sums, variable by variable; gradients of other tensors are left out. */
function added(gpu: Gpu, sums: ReadonlyMap<Tensor, Tensor>, more: Gradients) {
  const totals: ReadonlyMap<Tensor, Tensor> = new Map([
    ...sums,
    ...more
      .entries()
      .filter(([of]) => 'mutable' in of)
      .map(([of, gradient]): [Tensor, Tensor] => {
        const sum = sums.get(of)
        return [of, sum ? accumulate(gpu.run, sum, gradient) : gradient]
      }),
  ])
  return totals
}
