// Which pictures are alike, and which are like no other, by their neighbours.

import type { Neighbourhood } from '../common/api.ts'

/** The nearest of a picture, with their cosines. */
export const nearestOf = ({ indices, cosines, k }: Neighbourhood, i: number, most = 8) =>
  Array.from({ length: Math.min(most, k) }, (_, j) => ({
    picture: indices[i * k + j] ?? 0,
    cosine: cosines[i * k + j] ?? NaN,
  }))

/** Two pictures, and how alike they are. */
export interface PicturePair {
  readonly a: number
  readonly b: number
  readonly cosine: number
}

/** Pairs of a picture and one of its neighbours, the most alike first. */
export function closePairs({ indices, cosines, k }: Neighbourhood): PicturePair[] {
  const pairs: PicturePair[] = []
  const seen = new Set<number>()
  const M = indices.length / Math.max(1, k)
  for (let at = 0; at < indices.length; at++) {
    const cosine = cosines[at] ?? 0
    const [i, j] = [Math.floor(at / k), indices[at] ?? 0]
    const [a, b] = [Math.min(i, j), Math.max(i, j)]
    const key = a * M + b
    if (seen.has(key)) continue
    seen.add(key)
    pairs.push({ a, b, cosine })
  }
  return pairs.sort((p, q) => q.cosine - p.cosine || p.a - q.a || p.b - q.b)
}

/** Pictures by their mean similarity to their nearest, the most unlike first (Ramaswamy, Rastogi
 *  and Shim 2000). */
export function loners({ cosines, k }: Neighbourhood): { picture: number; cosine: number }[] {
  const means = Array.from({ length: k === 0 ? 0 : cosines.length / k }, (_, picture) => {
    let sum = 0
    for (let j = 0; j < k; j++) sum += cosines[picture * k + j] ?? 0
    return { picture, cosine: sum / k }
  })
  return means.sort((a, b) => a.cosine - b.cosine || a.picture - b.picture)
}
