// A linear probe of frozen features that needs no tuning: logistic regression to convergence on
// standardised features. The strength of regularisation is chosen on held-out training images, as
// in CLIP (Radford et al. 2021, https://arxiv.org/abs/2103.00020, appendix A.3). The fit uses no
// test image.

import { type Abortable, abortable } from '../kernels/abort.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'
import { flatNumbers } from '../kernels/numbers.ts'
import { callback, checkOptions, count, needed, rule } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import type { Gpu } from '../engine/gpu.ts'
import { checkGpu } from '../models/model.ts'
import { type Embeddings, rowsAt } from './embed.ts'
import { parted } from './held-out.ts'
import { SoftmaxRegression } from './softmax-regression.ts'
import { type Regression, predicted, scoresOf } from './regression.ts'
import { type FeatureRows, hostRows } from './slabs.ts'
import { scalingOf } from './standardise.ts'

const PATIENCE = 2 // the search ends after 2 strengths in a row that do worse than the best
const ROUGH = 3e-4 // tolerance of the search's fits
const MIDDLE = 1e-2 // the strength when no image can be held out

const LAMBDAS = [0.1, 1e-2, 1e-3, 1e-4, 1e-5]

/** Options of `linearProbe`. */
export interface ProbeOptions extends Abortable {
  /** Number of classes: labels are whole numbers below it. */
  readonly classes: number
  /** Strengths of regularisation to choose from; 0.1, 0.01, ... 1e-5 by default. */
  readonly lambdas?: readonly number[]
  /** Seed that chooses the held-out images; 0 by default. */
  readonly seed?: number
  /** Called after each strength with the accuracy in percent on the held-out images. */
  readonly onTried?: (tried: { readonly lambda: number; readonly heldOut: number }) => void
}

/** A linear classifier, and how its strength of regularisation was chosen. */
export interface Probe extends Regression {
  /** The chosen strength. */
  readonly lambda: number
  /** Accuracy in percent of that strength on the held-out images; null when none was held out. */
  readonly heldOut: number | null
}

const strengths = rule(
  'an array of numbers above 0',
  (v) => Array.isArray(v) || ArrayBuffer.isView(v),
)

const rules = {
  ...{ classes: needed(count), lambdas: strengths, seed: seedRule, onTried: callback },
  ...abortable,
}

/** Fits a linear classifier to training features [M, D] with labels [M]; `scoresOf` applies it.
 *  Holds out one image in five of each class, fits the others with each strength from the largest
 *  down, keeps the strength that does best on the held-out images, and fits all images with it.
 *  Throws ShapeError, RangeError for labels and strengths out of range, and Error for features that
 *  are not finite. Rejects with the signal's reason at once when it is aborted. */
export async function linearProbe(
  gpu: Gpu,
  features: FeatureRows,
  given: IndexList,
  options: ProbeOptions,
): Promise<Probe> {
  const {
    classes,
    seed = 0,
    onTried,
    signal,
    ...more
  } = checkOptions('linearProbe', options, rules)
  const lambdas = strengthsOf(more.lambdas ?? LAMBDAS)
  checkGpu('linearProbe', gpu)
  const rows = hostRows('linearProbe', 'features', features)
  const labels = Float64Array.from(flatNumbers('linearProbe: labels', given))
  const scaling = scalingOf(rows)
  const { fit, held } = parted(labels, seed)
  const chosen =
    held.length === 0
      ? { lambda: MIDDLE, heldOut: null, start: undefined }
      : await choose(gpu, { rows, labels, classes, scaling, fit, held, lambdas, onTried, signal })
  const regression = new SoftmaxRegression(gpu, rows, labels, { classes, scaling })
  const { lambda, start } = chosen
  return {
    ...(await regression.fit({
      lambda,
      ...ending(signal),
      ...(start && { start }),
    })),
    lambda,
    heldOut: chosen.heldOut,
  }
}

const ending = (signal: AbortSignal | undefined): Abortable => (signal ? { signal } : {})

/** Returns the strengths. Throws TypeError for anything but numbers, RangeError for one that is not
 *  finite and above 0, and for an empty list. */
function strengthsOf(given: readonly number[]): readonly number[] {
  const lambdas = Array.from(flatNumbers('linearProbe: lambdas', given))
  const at = lambdas.findIndex((lambda) => !(lambda > 0 && Number.isFinite(lambda)))
  if (at >= 0)
    throw new RangeError(
      `linearProbe: lambdas must be finite numbers above 0, got ${lambdas[at]} at ${at}`,
    )
  if (lambdas.length === 0)
    throw new RangeError('linearProbe: lambdas must have at least one number, got none')
  return lambdas
}

interface Choice {
  readonly rows: Embeddings
  readonly labels: Float64Array
  readonly classes: number
  readonly scaling: Regression['scaling']
  readonly fit: readonly number[]
  readonly held: readonly number[]
  readonly lambdas: readonly number[]
  readonly onTried: ProbeOptions['onTried']
  readonly signal: AbortSignal | undefined
}

/** Finds the strength that does best on the held-out images, the largest of equals. Returns it with
 *  its classifier. */
async function choose(gpu: Gpu, choice: Choice) {
  const { rows, labels, classes, scaling, fit, held, lambdas, onTried, signal } = choice
  const of = (places: readonly number[]) => Int32Array.from(places, (i) => labels[i] ?? -1)
  const regression = new SoftmaxRegression(gpu, rowsAt(rows, fit), of(fit), { classes, scaling })
  const [judged, wanted] = [rowsAt(rows, held), of(held)]
  let best: { lambda: number; heldOut: number; start: Regression } | null = null
  let [start, worse]: [Regression | undefined, number] = [undefined, 0]
  for (const lambda of lambdas.toSorted((a, b) => b - a)) {
    start = await regression.fit({
      lambda,
      tolerance: ROUGH,
      ...ending(signal),
      ...(start && { start }),
    })
    const heldOut = right(
      predicted(await scoresOf(gpu, judged, start, ending(signal)), classes),
      wanted,
    )
    onTried?.({ lambda, heldOut })
    if (!best || heldOut > best.heldOut) best = { lambda, heldOut, start }
    worse = heldOut < best.heldOut ? worse + 1 : 0
    if (worse === PATIENCE) break
  }
  if (!best) throw new Error('linearProbe: no strength was tried')
  return best
}

function right(predictions: Int32Array, labels: Int32Array): number {
  let found = 0
  for (const [i, label] of labels.entries()) found += Number(predictions[i] === label)
  return (100 * found) / labels.length
}
