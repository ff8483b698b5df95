// Chooses the mma and the tile of a product on a GPU. The mma follows from the device and the
// precision. The tile is guessed from the sizes, or is the fastest of those measured on this
// device. All tiles of an mma add the same products in the same order and give the same bits, so
// measuring changes the speed alone.

import { type Kernel, type Make, type Run, type Tensor, folded, kernel } from '../op.ts'
import { onMatrices, useMatrices } from '../wgsl/subgroup-matrix.ts'
import type { Loader } from './loader.ts'
import { tileSource } from './mainloop.ts'
import { subgroupDepth, subgroupMma } from './mma-subgroup.ts'
import { REGISTERS_DEPTH, registersMma } from './mma-registers.ts'

/** How a product is cut. */
interface Tile {
  readonly M: number
  readonly N: number
  /** Fours of rows and columns per thread, or 16s of rows per subgroup. Each needs a text of its
   *  own. */
  readonly micro: 1 | 2 | 4
  readonly constants: Readonly<Record<string, number>>
}

const registers = (micro: 1 | 2, threadsX: number, threadsY: number): Tile => ({
  M: threadsY * 4 * micro,
  N: threadsX * 4 * micro,
  micro,
  constants: { threadsX, threadsY },
})

const matrices = (micro: 2 | 4, subgroupsX: number, subgroupsY: number): Tile => ({
  M: subgroupsY * 16 * micro,
  N: subgroupsX * 32,
  micro,
  constants: { subgroupsX, subgroupsY },
})

// Largest first. No tile has more blocks of 4 x 4 to stage than threads.
const registerTiles = [
  registers(2, 16, 16),
  registers(2, 8, 16),
  registers(2, 16, 8),
  registers(2, 8, 8),
  registers(1, 8, 8),
]
const matrixTiles = [matrices(4, 4, 2), matrices(2, 2, 4), matrices(2, 2, 2)]

/** The tiles of this machine's mma that its workgroup memory has room for. */
export const tilesFor = (run: Run): readonly Tile[] =>
  (useMatrices(run) ? matrixTiles : registerTiles).filter(
    (tile) => bytesOf(run, tile) <= run.workgroupBytes,
  )

/** Bytes of workgroup memory that a tile takes: the staged slices; for subgroup matrices also the
 *  padding of their rows and the memory that sums pass through. In registers, what staging f16
 *  saves has room for the moments. */
function bytesOf(run: Run, { M, N, constants: { subgroupsX = 0, subgroupsY = 0 } }: Tile): number {
  const depth = depthFor(run)
  if (!useMatrices(run)) return (M + N) * depth * 4
  const parts = run.precision === 'f16x3' ? 2 : 1
  return (M + N) * (depth + 8) * 2 * parts + subgroupsX * subgroupsY * 1024
}

/** k per slice of this machine's mma. */
export const depthFor = (run: Run): number =>
  useMatrices(run) ? subgroupDepth(run.precision === 'f16x3') : REGISTERS_DEPTH

/** Rows, columns and length of a product, and its layers: batches, phases or splits of the sum, one
 *  workgroup along z each. */
export interface Size {
  readonly M: number
  readonly N: number
  readonly K: number
  readonly layers: number
}

const ENOUGH = 256 // workgroups that occupy a large GPU: two per processor
const MIN_SPLIT_K = 256 // k of one split
const PARTIAL_BYTES = 1 << 25 // of scratch at most; every adapter binds four times as much

/** Split-K: how many splits of the sum occupy the device. They follow from the sizes alone, because
 *  they change the order of the sum. */
export function splitsFor({ M, N, K, layers }: Size): number {
  const tiles = Math.ceil(M / 64) * Math.ceil(N / 64) * layers
  const fitting = Math.floor(PARTIAL_BYTES / (M * N * layers * 4))
  return Math.max(
    1,
    Math.min(Math.ceil((2 * ENOUGH) / tiles), Math.floor(K / MIN_SPLIT_K), fitting),
  )
}

/** The index of the tile to use when none was measured: the largest that leaves enough workgroups
 *  and wastes little. */
function guess(tiles: readonly Tile[], { M, N, layers }: Size): number {
  const count = (tile: Tile) => Math.ceil(M / tile.M) * Math.ceil(N / tile.N)
  const area = (tile: Tile) => count(tile) * tile.M * tile.N
  const least = Math.min(...tiles.map(area))
  const largest = tiles.findIndex(
    (tile) => count(tile) * layers >= ENOUGH && area(tile) <= 1.25 * least,
  )
  return largest < 0 ? tiles.length - 1 : largest
}

/** The kernels of a loader with every mma and tile, assembled on first use. */
export interface TiledProduct {
  /** Begins the key under which measured tiles are remembered. */
  readonly name: string
  readonly kernelFor: (run: Run, tile: Tile) => Kernel
}

/** Plans a product for a loader. */
export function planTiles(name: string, loader: Loader): TiledProduct {
  const made = new Map<string, (run: Run) => Kernel>()
  const build = (run: Run, { micro }: Tile): ((on: Run) => Kernel) => {
    if (useMatrices(run)) {
      const { y, moments = false } = loader
      const form = {
        exact: run.precision === 'f16x3',
        tall: micro === 4 ? 4 : 2,
        vec4Y: y === 'f32x4',
        moments,
      } as const
      return onMatrices((by) => kernel`${tileSource(loader, subgroupMma(by, form))}`)
    }
    const f16 = run.precision === 'f16' && run.f16
    const program = kernel`${tileSource(loader, registersMma(f16, micro === 1 ? 1 : 2, loader.moments))}`
    return () => program
  }
  const kernelFor = (run: Run, tile: Tile) => {
    const key = `${useMatrices(run)} ${run.precision} ${tile.micro}`
    const program = made.get(key) ?? build(run, tile)
    made.set(key, program)
    return program(run)
  }
  return { name, kernelFor }
}

/** Runs a tiled product. Returns y, and the moments of its columns if the loader stores them. */
export function runTiled<const Makes extends readonly Make[]>(
  run: Run,
  { name, kernelFor }: TiledProduct,
  size: Size,
  dispatch: {
    readonly reads: readonly Tensor[]
    readonly makes: Makes
    readonly params: Readonly<Record<string, number>>
  },
): { [I in keyof Makes]: Tensor } {
  const { M, N, K, layers } = size
  const tiles = tilesFor(run)
  const compute = (way: number) => {
    const tile = tiles[way]
    if (!tile) throw new Error(`${name}: no tile ${way} of ${tiles.length}`)
    const count = Math.ceil(M / tile.M) * Math.ceil(N / tile.N)
    return run(kernelFor(run, tile), {
      reads: dispatch.reads,
      makes: dispatch.makes,
      params: { ...dispatch.params, M, N },
      constants: tile.constants,
      groups: [...folded(count), layers],
    })
  }
  const mma = `${run.precision}${useMatrices(run) ? ' matrices' : ''} ${tiles.length}`
  const layered = layers > 1 ? ` by ${layers}` : ''
  return run.race(
    `${name} ${M} x ${N} x ${K}${layered}, ${mma}`,
    tiles.length,
    guess(tiles, size),
    compute,
  )
}
