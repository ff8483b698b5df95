// Which engine and which tile compute a product on a GPU. The engine follows from the device and the precision. The tile is a
// guess from the sizes, or the fastest of those measured on this device: all tiles of an engine add the same products in the
// same order, so that they give the same bits, and measuring changes nothing but the speed.

import { type Kernel, type Run, type Shape, type Tensor, folded, kernel } from '../op.ts'
import { onMatrices, useMatrices } from '../wgsl/subgroup-matrix.ts'
import { type Family, tileSource } from './tile.ts'
import { matricesDepth, matricesEngine } from './mma-subgroup.ts'
import { REGISTERS_DEPTH, registersEngine } from './mma-registers.ts'

/** How a product is cut. */
interface Tile {
  readonly M: number
  readonly N: number
  /** Which text: fours of rows and columns per thread, or 16s of rows per team. */
  readonly micro: 1 | 2 | 4
  readonly constants: Readonly<Record<string, number>>
}

const registers = (micro: 1 | 2, threadsX: number, threadsY: number): Tile => ({
  M: threadsY * 4 * micro,
  N: threadsX * 4 * micro,
  micro,
  constants: { threadsX, threadsY },
})

const matrices = (micro: 2 | 4, teamsX: number, teamsY: number): Tile => ({
  M: teamsY * 16 * micro,
  N: teamsX * 32,
  micro,
  constants: { teamsX, teamsY },
})

// From large to small. No tile has more blocks of 4 x 4 to stage than threads.
const registerTiles = [
  registers(2, 16, 16),
  registers(2, 8, 16),
  registers(2, 16, 8),
  registers(2, 8, 8),
  registers(1, 8, 8),
]
const matrixTiles = [matrices(4, 4, 2), matrices(2, 2, 4), matrices(2, 2, 2)]

/** The tiles of the engine that computes products on this machine, those that its workgroups have the memory for. */
export const tilesFor = (run: Run): readonly Tile[] =>
  (useMatrices(run) ? matrixTiles : registerTiles).filter((tile) => bytesOf(run, tile) <= run.workgroupBytes)

/** Bytes of workgroup memory that a tile takes: the staged slices, and on matrices their rows' ends and the sums' way out. In
 *  registers f16s leave as much of it as moments take. */
function bytesOf(run: Run, { M, N, constants: { teamsX = 0, teamsY = 0 } }: Tile): number {
  const depth = depthFor(run)
  if (!useMatrices(run)) return (M + N) * depth * 4
  const parts = run.precision === 'f16x3' ? 2 : 1
  return (M + N) * (depth + 8) * 2 * parts + teamsX * teamsY * 1024
}

/** How many k of the sum that engine takes at a time. */
export const depthFor = (run: Run): number =>
  useMatrices(run) ? matricesDepth(run.precision === 'f16x3') : REGISTERS_DEPTH

/** Rows, columns and length of a product, and how many there are of it: batches, phases, parts of the sum. */
export interface Size {
  readonly M: number
  readonly N: number
  readonly K: number
  readonly layers: number
}

const ENOUGH = 256 // workgroups that occupy a large GPU: two for each of its processors
const SHORTEST = 256 // k in one part of a split sum, at the least
const PARTIAL_BYTES = 1 << 25 // of scratch at most; every adapter binds four times as much

/** Into how many parts a sum should be split for the device to be occupied. It follows from the sizes alone, as it changes
 *  the order of sums. */
export function partsFor({ M, N, K, layers }: Size): number {
  const tiles = Math.ceil(M / 64) * Math.ceil(N / 64) * layers
  const fitting = Math.floor(PARTIAL_BYTES / (M * N * layers * 4))
  return Math.max(1, Math.min(Math.ceil((2 * ENOUGH) / tiles), Math.floor(K / SHORTEST), fitting))
}

/** The number of the tile that should do when none was measured: the largest of which there are enough, and little waste. */
function guess(tiles: readonly Tile[], { M, N, layers }: Size): number {
  const count = (tile: Tile) => Math.ceil(M / tile.M) * Math.ceil(N / tile.N)
  const area = (tile: Tile) => count(tile) * tile.M * tile.N
  const least = Math.min(...tiles.map(area))
  const found = tiles.findIndex((tile) => count(tile) * layers >= ENOUGH && area(tile) <= 1.25 * least)
  return found < 0 ? tiles.length - 1 : found
}

/** The kernels of a family on every engine, made when they are wanted. */
export interface Tiled {
  readonly name: string
  readonly kernelFor: (run: Run, tile: Tile) => Kernel
}

export function tiled(name: string, family: Family): Tiled {
  const made = new Map<string, (run: Run) => Kernel>()
  const build = (run: Run, { micro }: Tile): ((on: Run) => Kernel) => {
    if (useMatrices(run)) {
      const { whole, moments = false } = family
      const shapes = { exact: run.precision === 'f16x3', tall: micro === 4 ? 4 : 2, whole, moments } as const
      return onMatrices((by) => kernel`${tileSource(family, matricesEngine(by, shapes))}`)
    }
    const half = run.precision === 'f16' && run.f16
    const program = kernel`${tileSource(family, registersEngine(half, micro === 1 ? 1 : 2, family.moments))}`
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

/** Runs a tiled product and returns what it makes: y, and the moments of its columns if its family stores them. */
export function runTiled<const Makes extends readonly Shape[]>(
  run: Run,
  { name, kernelFor }: Tiled,
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
  const engine = `${run.precision}${useMatrices(run) ? ' matrices' : ''} ${tiles.length}`
  const layered = layers > 1 ? ` by ${layers}` : ''
  return run.race(
    `${name} ${M} x ${N} x ${K}${layered}, ${engine}`,
    tiles.length,
    guess(tiles, size),
    compute,
  )
}
