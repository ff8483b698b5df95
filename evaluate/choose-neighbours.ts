// Chooses kNN's k and temperature on held-out training images, so that no test image decides.

import { type Abortable, abortable } from '../kernels/abort.ts'
import type { IndexList } from '../kernels/wgsl/indices.ts'
import { checkOptions, count, flag, needed, rule } from '../kernels/options.ts'
import { seedRule } from '../kernels/seeds.ts'
import { flatNumbers } from '../kernels/numbers.ts'
import type { Gpu } from '../engine/gpu.ts'
import { checkGpu } from '../models/model.ts'
import { rowsAt } from './embed.ts'
import { parted } from './held-out.ts'
import { classLabels } from './labels.ts'
import { type Nearest, nearest } from './nearest.ts'
import { type FeatureRows, hostRows } from './slabs.ts'

const KS = [1, 3, 5, 10, 20, 50, 100, 200]
const TEMPERATURES = [0.02, 0.05, 0.07, 0.1, 0.2, 0.5]

/** Options of `chooseNeighbours`. */
export interface NeighbourOptions extends Abortable {
  /** Number of classes: labels are whole numbers below it. */
  readonly classes: number
  /** Numbers of neighbours to choose from; 1, 3, 5, 10, 20, 50, 100, 200 by default. Those above
   *  the number of images that vote are left out. */
  readonly ks?: readonly number[]
  /** Temperatures to choose from; 0.02, 0.05, 0.07, 0.1, 0.2, 0.5 by default. */
  readonly temperatures?: readonly number[]
  /** True when the rows have unit length already; false by default. */
  readonly normalized?: boolean
  /** Seed that chooses the held-out images; 0 by default. */
  readonly seed?: number
}

/** What was chosen, and the accuracy in percent of each choice on the held-out images. */
export interface ChosenNeighbours {
  readonly k: number
  readonly temperature: number
  readonly heldOut: number
  readonly tried: readonly {
    readonly k: number
    readonly temperature: number
    readonly heldOut: number
  }[]
}

const numbers = rule('an array of numbers above 0', (v) => Array.isArray(v) && v.length > 0)
const rules = {
  ...{
    classes: needed(count),
    ks: numbers,
    temperatures: numbers,
    normalized: flag,
    seed: seedRule,
  },
  ...abortable,
}

/** Holds out one in five training images of each class, lets the nearest of the others vote for
 *  their class as `knn` does, and returns the k and temperature that do best; of equals the first,
 *  by k, then by temperature. Features are [M, D], labels [M]. Throws ShapeError, RangeError for
 *  labels and choices out of range and when no image can be held out. */
export async function chooseNeighbours(
  gpu: Gpu,
  features: FeatureRows,
  given: IndexList,
  options: NeighbourOptions,
): Promise<ChosenNeighbours> {
  const name = 'chooseNeighbours'
  checkGpu(name, gpu)
  const {
    classes,
    normalized = false,
    seed = 0,
    signal,
    ...more
  } = checkOptions(name, options, rules)
  const rows = hostRows(name, 'features', features)
  const labels = classLabels(name, given, { classes, count: rows.M })
  const { fit, held } = parted(labels, seed)
  const ks = positive('ks', more.ks ?? KS, true).filter((k) => k <= fit.length)
  const temperatures = positive('temperatures', more.temperatures ?? TEMPERATURES, false)
  const [least] = ks
  if (held.length === 0 || least === undefined)
    throw new RangeError(
      `${name}: needs two images of a class and a k of at most those that vote, got ${rows.M} images, ${fit.length} to vote`,
    )
  const ending = signal ? { signal } : {}
  const most = Math.max(...ks)
  const bank = rowsAt(rows, fit)
  const near = await nearest(bank, rowsAt(rows, held), most, { normalized, gpu, ...ending })
  const voters = Int32Array.from(near.indices, (i) => labels[fit[i] ?? 0] ?? 0)
  const truth = held.map((i) => labels[i] ?? 0)
  const tried = ks.flatMap((k) =>
    temperatures.map((temperature) => {
      const at = { k, temperature }
      return { ...at, heldOut: accuracyOf({ near, voters, truth }, { ...at, classes }) }
    }),
  )
  const best = tried.reduce((a, b) => (b.heldOut > a.heldOut ? b : a))
  return { ...best, tried }
}

/** Returns the choices in ascending order. Throws RangeError for one that cannot be. */
function positive(what: string, given: readonly number[], isWhole: boolean): number[] {
  const values = Array.from(flatNumbers(`chooseNeighbours: ${what}`, given))
  const wrong = values.find((v) => !(v > 0 && Number.isFinite(v) && (!isWhole || v % 1 === 0)))
  if (wrong !== undefined)
    throw new RangeError(
      `chooseNeighbours: ${what} must be ${isWhole ? 'whole ' : ''}numbers above 0, got ${wrong}`,
    )
  return values.sort((a, b) => a - b)
}

interface Lists {
  readonly near: Nearest
  /** [Q, k], the class of each neighbour. */
  readonly voters: Int32Array
  readonly truth: readonly number[]
}

/** The percentage of held-out images whose class gets the largest vote, the lowest of equals. */
function accuracyOf(
  { near, voters, truth }: Lists,
  { k, temperature, classes }: Record<'k' | 'temperature' | 'classes', number>,
): number {
  let right = 0
  for (const [q, label] of truth.entries()) {
    const [votes, from] = [new Float64Array(classes), q * near.k]
    const top = near.similarities[from] ?? 0
    for (let j = from; j < from + k; j++) {
      const voter = voters[j] ?? 0
      const weight = Math.exp(((near.similarities[j] ?? 0) - top) / temperature) // at most 1
      votes[voter] = (votes[voter] ?? 0) + weight
    }
    right += Number(votes.indexOf(Math.max(...votes)) === label)
  }
  return (100 * right) / truth.length
}
