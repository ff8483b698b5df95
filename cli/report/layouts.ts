// Features on a plane: their principal components, and UMAP.

import type { Gpu } from '../../engine/gpu.ts'
import { pca } from '../../evaluate/measure/pca.ts'
import { type Umap, umap } from '../../evaluate/measure/umap.ts'
import type { Embeddings } from '../../evaluate/slabs.ts'
import type { FeatureMap } from './measured.ts'

const MOST = 10_000 // features that UMAP takes; more take minutes
const FEW = 10 // features below which neighbours say nothing
const NEAR = 15 // neighbours of each, umap-learn's default
const FULL = 65_535

type Layout = FeatureMap['layouts'][number]

/** Lays unit features out by UMAP, where there are neither too few nor too many, and by PCA. */
export async function layoutsOf(gpu: Gpu, features: Embeddings): Promise<Layout[]> {
  const { M, D } = features
  const layouts: Layout[] = []
  if (M >= FEW && M <= MOST)
    layouts.push({
      name: 'UMAP',
      about: `UMAP of cosine distances, ${Math.min(NEAR, M - 1)} neighbours: near images are alike, distances between groups mean little`,
      points: scaled(turned(await umap(features, { neighbours: NEAR, gpu }))),
    })
  if (M >= 2 && D >= 2) {
    const { coordinates, explainedVarianceRatio } = pca(features)
    const percent = Array.from(explainedVarianceRatio, (share) => `${(100 * share).toFixed(0)}%`)
    layouts.push({
      name: 'PCA',
      about: `The two principal components, ${percent.join(' and ')} of the variance`,
      points: scaled(
        Array.from({ length: M }, (_, i) => [...coordinates.subarray(2 * i, 2 * i + 2)]),
      ),
    })
  }
  return layouts
}

/** Turns a map so that it extends most along x, as a page is wide. */
function turned({ coordinates: on }: Umap): number[][] {
  const M = on.length / 2
  const { coordinates } = pca({ features: on, M, D: 2 })
  return Array.from({ length: M }, (_, i) => [...coordinates.subarray(2 * i, 2 * i + 2)])
}

/** Scales points to whole numbers from 0 to 65535, by one factor for both axes. */
function scaled(points: readonly (readonly number[])[]): number[] {
  const bounds = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis] ?? 0)
    return values.reduce(([low, high], x) => [Math.min(low, x), Math.max(high, x)] as const, [
      Infinity,
      -Infinity,
    ] as readonly [number, number])
  })
  const size = Math.max(...bounds.map(([low, high]) => high - low), 1e-12)
  return points.flatMap((point) =>
    bounds.map(([low, high], axis) => {
      const at = ((point[axis] ?? 0) - (low + high) / 2) / size + 0.5
      return Math.round(FULL * Math.min(1, Math.max(0, at)))
    }),
  )
}
