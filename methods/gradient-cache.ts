// Gradient caching (Gao, Zhang, Han and Callan 2021, section 3.2, https://arxiv.org/abs/2101.06983): a contrastive loss over a
// batch of any size, with the activations of one part of it in memory.
//
//   z_i = f(x_i) for the parts x_1 ... x_n of a batch;   dL/dθ = Σ_i (dz_i/dθ)ᵀ dL/dz_i
//
// The loss needs all embeddings, and they are small; what is large, the activations behind them, is needed for one part
// at a time, once dL/dz_i is known. The price is a second forward.

import type { Tensor } from '../kernels/op.ts'
import { accumulate } from '../kernels/accumulate.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Mode } from '../models/layers.ts'

/** Encodes one part of a batch. It is called twice and must give the same both times: random numbers drawn by position,
 *  batch norm in the mode given. */
export type Encode = (mode: Mode) => Tensor

const first: Mode = { training: true }
const again: Mode = { training: true, tracking: false } // statistics have moved already

/** The loss [] of a batch encoded in parts, and its gradient with respect to every variable that it depends on. `loss` is given the
 *  embeddings of all parts, in order, and may have variables of its own; `scale` multiplies the gradient. In memory are the embeddings, the activations of one
 *  part, and one set of gradients beside that part's own. Exact up to rounding, save that batch norm's statistics are a part's. */
export function gradientCache(
  gpu: Gpu,
  parts: readonly Encode[],
  loss: (z: readonly Tensor[]) => Tensor,
  scale?: Tensor,
): { loss: Tensor; gradients: ReadonlyMap<Tensor, Tensor> } {
  const none: readonly Tensor[] = []
  const z = gpu.fold(parts, none, (before, encode) => [...before, gpu.leaf(gpu.noGrad(() => encode(first)))])
  const L = loss(z)
  const cached = gpu.backward(L, scale)
  const own = added(gpu, new Map(), cached) // of the loss itself, such as a learned temperature
  const gradients = gpu.fold([...parts.entries()], own, (sums, [i, encode]) => {
    const dz = z[i] && cached.get(z[i])
    return dz ? added(gpu, sums, gpu.backward(encode(again), dz)) : sums
  })
  return { loss: L, gradients }
}

/** The same of a batch encoded in one pass, with the activations of all parts in memory. */
export function plainGradient(
  gpu: Gpu,
  parts: readonly Encode[],
  loss: (z: readonly Tensor[]) => Tensor,
  scale?: Tensor,
): { loss: Tensor; gradients: ReadonlyMap<Tensor, Tensor> } {
  const L = loss(parts.map((encode) => encode(first)))
  return { loss: L, gradients: gpu.backward(L, scale) }
}

/** The sums of the gradients of variables. */
function added(gpu: Gpu, sums: ReadonlyMap<Tensor, Tensor>, more: ReadonlyMap<Tensor, Tensor>) {
  const totals: ReadonlyMap<Tensor, Tensor> = new Map([
    ...sums,
    ...[...more]
      .filter(([of]) => 'mutable' in of)
      .map(([of, gradient]): [Tensor, Tensor] => {
        const sum = sums.get(of)
        return [of, sum ? accumulate(gpu.run, sum, gradient) : gradient]
      }),
  ])
  return totals
}
