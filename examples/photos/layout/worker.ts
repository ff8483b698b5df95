// The layout of the map: UMAP of neighbours that the GPU has found. It begins where the last map
// ended, so that pictures wander instead of jumping.

import { expose } from 'comlink'
import { UMAP } from 'umap-js'
import type { Neighbourhood } from '../common/api.ts'

/** Receives the places of all pictures, [M, 2], as they move. */
export type Moved = (places: Float32Array) => void

/** What the page asks of the layout. */
export interface LayoutWorker {
  /** Lays pictures out, from `start` [M, 2] if given. A later call ends an earlier one. */
  lay(found: Neighbourhood, start: Float32Array | null, moved: Moved): Promise<void>
  /** Ends what is being laid out. */
  stop(): Promise<void>
}

const EPOCHS = { first: 300, later: 120 }
const SPREAD = 10 // umap-js's own first places are from -10 to 10
const SHOW = 60 // milliseconds between what the page is shown
const FEWEST = 4 // pictures: fewer have no map

let turn = 0

const layout: LayoutWorker = {
  async lay(found, start, moved) {
    const own = ++turn
    const { k } = found
    const M = k === 0 ? 1 : found.indices.length / k
    if (M < FEWEST) return moved(inARow(M))
    const nEpochs = start ? EPOCHS.later : EPOCHS.first
    const map = new UMAP({ nNeighbors: Math.min(k + 1, M - 1), nEpochs, minDist: 0.6, random })
    const lists = listsOf(found, M)
    map.setPrecomputedKNN(lists.indices, lists.distances)
    map.initializeFit(Array.from({ length: M }, (_, m) => [m])) // only their number counts
    const places = map.getEmbedding()
    if (start && start.length === 2 * M) put(places, start)
    let shown = performance.now()
    for (let epoch = 0; epoch < nEpochs; epoch++) {
      map.step()
      if (performance.now() - shown < SHOW && epoch < nEpochs - 1) continue
      moved(Float32Array.from(places.flat()))
      await pause() // for a later call
      if (own !== turn) return undefined
      shown = performance.now()
    }
    return undefined
  },

  stop() {
    turn++
    return Promise.resolve()
  },
}

/** umap-learn's lists begin with the picture itself, at distance 0. */
function listsOf({ indices, cosines, k }: Neighbourhood, M: number) {
  const listed = (self: (m: number) => number, other: (at: number) => number) =>
    Array.from({ length: M }, (_, m) => [
      self(m),
      ...Array.from({ length: Math.min(k, M - 2) }, (__, j) => other(m * k + j)),
    ])
  return {
    indices: listed(
      (m) => m,
      (at) => indices[at] ?? 0,
    ),
    distances: listed(
      () => 0,
      (at) => Math.max(0, 1 - (cosines[at] ?? 1)),
    ),
  }
}

/** Moves places to `start`, scaled to the extent in which UMAP begins. */
function put(places: number[][], start: Float32Array) {
  let most = 1e-6
  for (const value of start) most = Math.max(most, Math.abs(value))
  const scale = Math.max(1, most / SPREAD)
  for (const [m, place] of places.entries()) {
    place[0] = (start[2 * m] ?? 0) / scale
    place[1] = (start[2 * m + 1] ?? 0) / scale
  }
}

const inARow = (M: number) => Float32Array.from({ length: 2 * M }, (_, i) => (i % 2 ? 0 : i))

const pause = () =>
  new Promise<void>((resolve) => {
    setTimeout(resolve)
  })

let seed = 1

/** NumbersPanel from 0 to 1, the same in every visit: a multiplicative generator (Park and Miller
 *  1988). */
function random(): number {
  seed = (seed * 48271) % 2147483647
  return seed / 2147483647
}

expose(layout)
