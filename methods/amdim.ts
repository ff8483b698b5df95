// Augmented Multiscale Deep InfoMax, Bachman, Hjelm & Buchwalter 2019
// (https://arxiv.org/abs/1906.00910).
//
//   N images in a batch   x1, x2 two views of each   f encoder
//   r1 [N, R] global features   r5 [N, 5, 5, R], r7 [N, 7, 7, R] maps of local features
//
// Features of one view predict those of the other, across scales: 1→5, 1→7 and 5→5 (section 3.4).

import type { IndexList } from '../kernels/wgsl/indices.ts'
import { integersOf } from '../kernels/numbers.ts'
import type { Tensor } from '../kernels/op.ts'
import { add } from '../kernels/elementwise/add.ts'
import { concat } from '../kernels/shape/concat.ts'
import { selectPosition } from '../kernels/shape/select-position.ts'
import { reshape } from '../kernels/shape/reshape.ts'
import { anything, callback, having, needed, orNull } from '../kernels/options.ts'
import type { Optimizer } from '../engine/optim/optimizer.ts'
import type { AmdimEncoder, Scales } from '../models/amdim-encoder.ts'
import { type Classifiers, classifierLosses } from '../models/classifiers.ts'
import { type MultiscaleLosses, crossedNce, multiscaleNce } from './multiscale.ts'
import { type Encoder, halves } from './batch.ts'
import { labelsOf } from './image-batch.ts'
import { type Algorithm, type MethodOptions, method } from './method.ts'
import { optimizerRule } from './step-options.ts'

/** The view whose positions to choose, as `selectPosition` takes it. */
interface PlaceOf {
  readonly seed: number
  readonly step: () => number
  readonly view: number
}

/** Options of `amdim`, besides those of every method. */
export interface AmdimOptions extends MethodOptions {
  /** Encoder of views [N, size, size, 3], which returns features at three scales. */
  readonly encoder: AmdimEncoder
  /** Classifiers that train in the same step on r1 where the batch has labels, without a gradient
   *  to the encoder; none by default. */
  readonly classifiers?: Classifiers | null
  /** Optimizer of the parameters of the encoder and the classifiers. */
  readonly optimizer: Optimizer
  /** c of the scores' c tanh(score / c), above 0; 20 by default. */
  readonly clip?: number
  /** λ of the penalty λ mean(score²), from 0; 0.05 by default as in the authors' code, 0.04 in the
   *  paper. */
  readonly penalty?: number
  /** Chooses the positions [N] of a view's map that 5→5 predicts from; drawn uniformly unless
   *  given. */
  readonly places?: (at: PlaceOf) => Tensor
}

/** The losses that `step` returns, in order; the last two where classifiers are trained. */
export const amdimLosses = ['loss', '1→5', '1→7', '5→5', 'penalty', 'linear', 'mlp'] as const

const rules = {
  encoder: needed(having('an encoder as amdimEncoder makes it', 'scales')),
  classifiers: orNull(having('classifiers', 'linear', 'mlp')),
  optimizer: needed(optimizerRule),
  ...{ clip: anything, penalty: anything, places: callback },
}

/** The networks that `amdim` returns beside `step`. */
interface Kept {
  readonly encoder: AmdimEncoder
  readonly head: Classifiers | null
}

/** AMDIM training: `step(batch, labels)` makes one step and returns its losses [5], or [7] with
 *  some label in [N] (-1 where unknown; the batch's own unless given), as `amdimLosses` names
 *  them; the first is the sum of the next four, which the encoder learns from. They are
 *  freed at the end of the next step: call `gpu.read` before then, its promise may be awaited
 *  later. */
export const amdim: Algorithm<AmdimOptions, Kept, [labels?: IndexList | null]> = method('amdim', {
  rules,
  trains: ({ encoder, classifiers }) => (classifiers ? { encoder, classifiers } : encoder),
  begin(options, { gpu, t, seed }) {
    const { encoder, classifiers = null, places, clip = 20, penalty = 0.05 } = options
    const f: Encoder<Maps> = (x, mode) => {
      const { r1, r5, r7 } = encoder.scales(x, mode)
      return [r1, r5, r7]
    }
    const draws = { seed, step: t }
    const place = (r5: Tensor, view: number) => {
      const at = { ...draws, view }
      return selectPosition(r5, places?.(at) ?? at)
    }
    const placesOfBoth =
      places && (() => concat([places({ ...draws, view: 0 }), places({ ...draws, view: 1 })], 0))
    const joined = ([r1, r5, r7]: Maps) => {
      const sources = selectPosition(r5, placesOfBoth?.() ?? { ...draws, view: [0, 1] })
      const nce = crossedNce({ r1, r5, r7 }, sources, { clip, penalty })
      return { nce, globals: () => halves(r1) }
    }
    const apart = (views: readonly [Maps, Maps]) => {
      const [one, two] = [scalesOf(views[0]), scalesOf(views[1])]
      const sources = [place(one.r5, 0), place(two.r5, 1)] as const //   for 5→5, one place of each
      const nce = multiscaleNce([one, two], sources, { clip, penalty })
      return { nce, globals: () => [one.r1, two.r1] }
    }
    const stopped = (h: Tensor) => gpu.noGrad(() => reshape(h, h.shape))
    return {
      keeps: { encoder, head: classifiers },
      told: (batch, told) => someLabels(told === undefined ? labelsOf(batch) : told),
      step(x, labels?: Tensor) {
        const both = x.together(f, encoder.mostImages ?? 0) // two views, in one pass if they fit
        const { nce, globals } = both ? joined(both) : apart([x.encode(f, 0), x.encode(f, 1)])
        const probes = //                                           no gradient to the encoder
          classifiers && labels
            ? classifierLosses(classifiers, globals().map(stopped), labels, draws)
            : []
        const loss = probes.reduce((a, b) => add(a, b), nce.total)
        return { loss, result: () => stacked([...termsOf(nce), ...probes]) }
      },
    }
  },
})

/** A view's r1, r5 and r7, or both views'. */
type Maps = [Tensor, Tensor, Tensor]

const scalesOf = ([r1, r5, r7]: Maps): Scales => ({ r1, r5, r7 })

/** The labels as i32, or null where none is known. */
function someLabels(given: IndexList | null | undefined): Int32Array | null {
  const labels = given ? integersOf('amdim: labels', given) : null
  return labels?.some((label) => label >= 0) ? labels : null
}

/** The losses in the order of `amdimLosses`. */
const termsOf = (nce: MultiscaleLosses) => [
  nce.total,
  nce.oneToFive,
  nce.oneToSeven,
  nce.fiveToFive,
  nce.penalty,
]

const stacked = (scalars: readonly Tensor[]) =>
  concat(
    scalars.map((scalar) => reshape(scalar, [1])),
    0,
  )
