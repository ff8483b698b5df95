// Chooses the mma and the tile of a product on a GPU. The mma follows from the device and the
// precision. The tile is guessed from the sizes, or is the fastest of those measured on this
// device. All tiles of an mma add the same products in the same order and give the same bits, so
// measuring changes the speed alone.

import {
  type Kernel,
  type Make,
  type Precision,
  type Run,
  type Tensor,
  folded,
  form,
  kernel,
  ownOf,
} from '../op.ts'
import { type Arithmetic, type Factors, type Tile, loadsOf } from './arithmetic.ts'
import type { Loader } from './loader.ts'
import { tileSource } from './mainloop.ts'
import { inRegisters } from './mma-registers.ts'

const MAX_LOADS = 16 // of a thread and slice

/** Products on subgroup matrices, for each precision that allows them. */
export const matrixArithmetic = form<Readonly<Record<Exclude<Precision, 'f32'>, Arithmetic>>>()

function arithmeticOf(run: Run): Arithmetic {
  const { precision } = run
  return (precision === 'f32' ? null : ownOf(run, matrixArithmetic)?.[precision]) ?? inRegisters
}

/** The tiles of this machine's mma that its workgroup memory and its registers have room for. */
export function tilesFor(run: Run, factors: Factors = { a: 'f32x4', b: 'f32x4' }): readonly Tile[] {
  const { tiles, depth } = arithmeticOf(run)
  return tiles.filter(
    (tile) => tile.bytes <= run.workgroupBytes && loadsOf(tile, depth, factors) <= MAX_LOADS,
  )
}

/** Workgroups of a tile that a processor runs at a time. */
const residentOf = ({ resident, lean = resident }: Tile, { a, b }: Factors): number =>
  a === 'f16x8' && b === 'f16x8' ? lean : resident

/** k per slice of this machine's mma. */
export const depthFor = (run: Run): number => arithmeticOf(run).depth

/** Rows, columns and length of a product, and its layers: batches, phases or splits of the sum, one
 *  workgroup along z each. */
export interface Size {
  readonly M: number
  readonly N: number
  readonly K: number
  readonly layers: number
}

const PROCESSORS = 132 // of a large GPU (H100, H200)
const ENOUGH = 256 // workgroups that occupy it: about two for each processor
const MIN_SPLIT_K = 256 // k of one split
const MOST_SPLITS = 512 // whose partial sums still have to be added
const MOST_WAVES = 5 // of workgroups
const PARTIAL_BYTES = 1 << 27 // of scratch at most, which every adapter binds

/** Tiles of a product of M rows and N columns. */
const countOf = (tile: Tile, { M, N }: Size) => Math.ceil(M / tile.M) * Math.ceil(N / tile.N)

/** Split-K: how many slices of the sum, of `depth` k each, a workgroup adds; all of them where
 *  splitting saves no time. They follow from the sizes and from the tile that they suggest, never
 *  from what was measured, because they change the order of the sum. */
export function slicesPerSplit(run: Run, factors: Factors, size: Size): number {
  const { M, N, K, layers } = size
  const all = Math.ceil(K / depthFor(run))
  const fitting = Math.floor(PARTIAL_BYTES / (M * N * layers * 4))
  const most = Math.max(1, Math.min(Math.floor(K / MIN_SPLIT_K), fitting, MOST_SPLITS))
  const tiles = tilesFor(run, factors)
  const tile = tiles[guess(tiles, { ...size, layers: layers * most })]
  if (!tile || most === 1) return all
  const wave = (PROCESSORS * residentOf(tile, factors)) / (countOf(tile, size) * layers) // in splits
  let best = { slices: all, time: Infinity }
  for (let splits = 1; splits <= most && splits < Math.max(2, MOST_WAVES * wave); splits++) {
    const slices = Math.ceil(all / splits)
    const time = splitTime(run, K, Math.ceil(all / slices), wave)
    if (time < best.time) best = { slices, time }
  }
  return best.slices
}

/** How long a product takes in so many parts, of which `wave` make a wave of workgroups, in the
 *  time of one k. The last wave may be nearly empty. It is counted as it is on the largest GPUs,
 *  and as half full, as it is on average on others. */
function splitTime(run: Run, K: number, parts: number, wave: number): number {
  const waves = parts / wave
  const products = (K * (Math.ceil(waves) + (waves + 0.5))) / 2 / waves
  const { partialWorth } = arithmeticOf(run)
  return products + (parts === 1 ? 0 : (parts + 1) * partialWorth) // and the sum is written and read
}

/** The index of the tile to use when none was measured: the largest that leaves enough workgroups
 *  and wastes little. */
function guess(tiles: readonly Tile[], size: Size): number {
  const area = (tile: Tile) => countOf(tile, size) * tile.M * tile.N
  const least = Math.min(...tiles.map(area))
  const largest = tiles.findIndex(
    (tile) => countOf(tile, size) * size.layers >= ENOUGH && area(tile) <= 1.25 * least,
  )
  return largest < 0 ? tiles.length - 1 : largest
}

/** The kernels of a loader with every mma and tile, assembled on first use. */
export interface TiledProduct {
  /** Begins the key under which measured tiles are remembered. */
  readonly name: string
  readonly factors: Factors
  readonly kernelFor: (run: Run, tile: Tile) => Kernel
}

/** Plans a product for a loader. */
export function planTiles(name: string, loader: Loader): TiledProduct {
  const made = new Map<Tile, Kernel>()
  const kernelFor = (run: Run, tile: Tile) => {
    const built = () => arithmeticOf(run).finish(kernel`${tileSource(loader, tile.mma(loader))}`)
    const program = made.get(tile) ?? built()
    made.set(tile, program)
    return program
  }
  return { name, factors: loader.memory, kernelFor }
}

/** Runs a tiled product. Returns y, and what the loader stores of its columns. */
export function runTiled<const Makes extends readonly Make[]>(
  run: Run,
  { name, factors, kernelFor }: TiledProduct,
  size: Size,
  dispatch: {
    readonly reads: readonly Tensor[]
    readonly makes: Makes
    readonly params: Readonly<Record<string, number>>
    readonly constants?: Readonly<Record<string, number>>
  },
): { [I in keyof Makes]: Tensor } {
  const { M, N, K, layers } = size
  const tiles = tilesFor(run, factors)
  const compute = (way: number) => {
    const tile = tiles[way]
    if (!tile) throw new Error(`${name}: no tile ${way} of ${tiles.length}`)
    return run(kernelFor(run, tile), {
      reads: dispatch.reads,
      makes: dispatch.makes,
      params: { ...dispatch.params, M, N },
      constants: dispatch.constants ?? {},
      groups: [...folded(countOf(tile, size)), layers],
    })
  }
  const by = arithmeticOf(run).name
  const mma = `${run.precision}${by && ` ${by}`} ${tiles.length}`
  const layered = layers > 1 ? ` by ${layers}` : ''
  return run.race(
    `${name} ${M} x ${N} x ${K}${layered}, ${mma}`,
    tiles.length,
    guess(tiles, size),
    compute,
  )
}
