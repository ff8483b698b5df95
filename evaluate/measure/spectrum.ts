// How many dimensions the features use: RankMe (Garrido et al. 2023,
// https://arxiv.org/abs/2210.02885) and the effective rank (Roy and Vetterli 2007); and how far unit
// features spread in each of them, SimSiam's collapse meter (Chen and He 2021,
// https://arxiv.org/abs/2011.10566, section 4.1).

import { EVD } from 'ml-matrix'
import { checkOptions, flag } from '../../kernels/options.ts'
import { type FeatureRows, checkFinite, hostRows } from '../slabs.ts'
import type { Embeddings } from '../embed.ts'
import { gram, meanOf } from './gram.ts'

const EPS = 1e-7 // of RankMe, so that a rank of 0 has a logarithm

/** Options of `spectrum`. */
export interface SpectrumOptions {
  /** True subtracts the mean feature first; false by default, as in RankMe. */
  readonly centred?: boolean
}

/** The dimensions that features [M, D] use. */
export interface Spectrum {
  /** [min(M, D)], the largest first. */
  readonly singularValues: Float64Array
  /** exp of the entropy of the singular values' shares, each plus 1e-7: from 1, where all features
   *  lie on a line, to min(M, D). */
  readonly rankMe: number
  /** The same without 1e-7. */
  readonly effectiveRank: number
}

/** Computes the singular values of features [M, D] in float64, and the ranks that follow from them.
 *  Takes O(M D min(M, D)) operations on the CPU. Throws ShapeError, and Error for features that are
 *  not finite. */
export function spectrum(given: FeatureRows, options: SpectrumOptions = {}): Spectrum {
  const { centred = false } = checkOptions('spectrum', options, { centred: flag })
  const rows = checked('spectrum', given)
  const products = gram(rows, centred ? meanOf(rows) : undefined)
  const { realEigenvalues } = new EVD(products, { assumeSymmetric: true })
  const squares = Float64Array.from(realEigenvalues).sort().reverse()
  const singularValues = squares.map((square) => Math.sqrt(Math.max(0, square)))
  return {
    singularValues,
    rankMe: perplexity(singularValues, EPS),
    effectiveRank: perplexity(singularValues, 0),
  }
}

/** exp of the entropy of shares p, Σ -p log p. */
function perplexity(sizes: Float64Array, eps: number): number {
  const total = sizes.reduce((a, b) => a + b, 0)
  const shares = sizes.map((size) => (total === 0 ? 0 : size / total) + eps)
  return Math.exp(-shares.reduce((sum, p) => sum + (p === 0 ? 0 : p * Math.log(p)), 0))
}

/** Returns the mean over D of the standard deviation of unit features [M, D]: 0 when all features
 *  are one direction, 1 / sqrt(D) when they spread evenly. The variance is over M - 1, as
 *  torch.std's. Rows are scaled to unit length first. Throws like `spectrum`. */
export function spreadOfUnitRows(given: FeatureRows): number {
  const { features, M, D } = checked('spreadOfUnitRows', given)
  const [means, squares] = [new Float64Array(D), new Float64Array(D)]
  const scales = lengths({ features, M, D }).map((length) => (length === 0 ? 0 : 1 / length))
  for (let i = 0; i < M * D; i++)
    means[i % D] =
      (means[i % D] ?? 0) + ((features[i] ?? NaN) * (scales[Math.floor(i / D)] ?? 0)) / M
  for (let i = 0; i < M * D; i++) {
    const offset = (features[i] ?? NaN) * (scales[Math.floor(i / D)] ?? 0) - (means[i % D] ?? 0)
    squares[i % D] = (squares[i % D] ?? 0) + offset ** 2 / Math.max(1, M - 1)
  }
  return squares.reduce((sum, square) => sum + Math.sqrt(square), 0) / D
}

/** The length of each row. */
function lengths({ features, M, D }: Embeddings): Float64Array {
  const squares = new Float64Array(M)
  for (let i = 0; i < M * D; i++) {
    const m = Math.floor(i / D)
    squares[m] = (squares[m] ?? 0) + (features[i] ?? NaN) ** 2
  }
  return squares.map(Math.sqrt)
}

function checked(name: string, given: FeatureRows): Embeddings {
  const rows = hostRows(name, 'features', given)
  if (rows.M === 0 || rows.D === 0)
    throw new RangeError(`${name}: needs at least one feature row, got [${rows.M}, ${rows.D}]`)
  checkFinite(name, rows.features)
  return rows
}
