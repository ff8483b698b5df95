// The 2-D coordinates of --map.

import type { Gpu } from '../../engine/gpu.ts'
import type { Embeddings } from '../../evaluate/embed.ts'
import { pca } from '../../evaluate/measure/pca.ts'
import { umap } from '../../evaluate/measure/umap.ts'
import { UsageError, choose } from '../../training/choice.ts'

const kinds = ['pca', 'umap'] as const

/** A way to draw a map. */
export type MapKind = (typeof kinds)[number]

/** Reads --map; null for no map. Throws UsageError. */
export const mapKind = (given: string | undefined): MapKind | null => choose('--map', given, kinds)

/** Lays features out in a plane, as [M, 2]. Throws UsageError for too few of them. */
export async function mapOf(
  gpu: Gpu,
  rows: Embeddings,
  { kind, seed }: { readonly kind: MapKind; readonly seed: number },
): Promise<Float64Array> {
  const least = kind === 'pca' ? 2 : 4
  if (rows.M < least || rows.D < 2)
    throw new UsageError(
      `--map: ${kind} needs at least ${least} images and 2 features, got ${rows.M} and ${rows.D}; ` +
        'leave it out',
    )
  if (kind === 'pca') return pca(rows).coordinates
  return (await umap(rows, { seed, gpu })).coordinates
}
