// Chooses the mma and the tile of a product on a GPU. The mma follows from the device and the
// precision. The tile is guessed from the sizes, or is the fastest of those measured on this
// device. All tiles of an mma add the same products in the same order and give the same bits, so
// measuring changes the speed alone.

import { type Kernel, type Make, type Run, type Tensor, folded, kernel } from '../op.ts'
import { onMatrices, useMatrices } from '../wgsl/subgroup-matrix.ts'
import { type Loader, loadWidth } from './loader.ts'
import { tileSource } from './mainloop.ts'
import { type SubgroupTile, subgroupDepth, subgroupMma } from './mma-subgroup.ts'
import { REGISTERS_DEPTH, type RegisterTile, registersMma } from './mma-registers.ts'

/** How a product is cut: rows and columns of a workgroup, and of what they consist. */
export interface Tile {
  readonly M: number
  readonly N: number
  /** Workgroups that a processor of a large GPU runs at a time, by the registers that NVIDIA's
   *  compilers give them (docs/kernels.md); and of factors that are read eight numbers at a time,
   *  if they take fewer registers. */
  readonly resident: number
  readonly lean?: number
  readonly of: RegisterTile | SubgroupTile
}

const registers = (
  resident: number,
  fours: RegisterTile['fours'],
  threadsX: RegisterTile['threadsX'],
  threadsY: RegisterTile['threadsY'],
): Tile => ({
  M: threadsY * 4 * fours,
  N: threadsX * 4 * fours,
  resident,
  of: { fours, threadsX, threadsY },
})

const matrices = (
  resident: number,
  tall: SubgroupTile['tall'],
  wide: SubgroupTile['wide'],
  subgroupsX: SubgroupTile['subgroupsX'],
  subgroupsY: SubgroupTile['subgroupsY'],
): Tile => ({
  M: subgroupsY * 16 * tall,
  N: subgroupsX * 16 * wide,
  resident,
  of: { tall, wide, subgroupsX, subgroupsY },
})

// Largest first. No tile has more blocks of 4 x 4 to stage than threads.
const registerTiles = [
  registers(2, 2, 16, 16),
  registers(3, 2, 8, 16),
  registers(3, 2, 16, 8),
  registers(6, 2, 8, 8),
  registers(10, 1, 8, 8),
]
// A subgroup's 64 x 64 sums take 128 of a thread's 255 registers, and each load of the next slice
// takes four. f16x3 has two sums for each of y's.
const roundedTiles = [
  matrices(2, 4, 4, 2, 2),
  matrices(1, 4, 2, 4, 2),
  matrices(2, 4, 4, 1, 4),
  matrices(3, 4, 2, 2, 2),
  { ...matrices(4, 2, 2, 2, 2), lean: 5 },
]
// Where subgroups of 32 must be asked for (AMD), 64 x 64 sums spill (docs/kernels.md).
const narrowTiles = [matrices(1, 4, 2, 4, 2), matrices(3, 4, 2, 2, 2), matrices(4, 2, 2, 2, 2)]
const splitTiles = [matrices(1, 4, 2, 4, 2), matrices(2, 4, 2, 2, 2), matrices(3, 2, 2, 2, 2)]
const MAX_LOADS = 16

/** How the factors of a product are bound. */
type Factors = Pick<Loader['memory'], 'a' | 'b'>

/** The tiles of this machine's mma that its workgroup memory and its registers have room for. */
export const tilesFor = (
  run: Run,
  factors: Factors = { a: 'f32x4', b: 'f32x4' },
): readonly Tile[] =>
  useMatrices(run)
    ? matrixTiles(run).filter(
        (tile) =>
          bytesOf(run, tile) <= run.workgroupBytes && loadsOf(run, tile, factors) <= MAX_LOADS,
      )
    : registerTiles.filter((tile) => bytesOf(run, tile) <= run.workgroupBytes)

function matrixTiles({ precision, choosesSubgroups }: Run): readonly Tile[] {
  if (precision === 'f16x3') return splitTiles
  return choosesSubgroups ? narrowTiles : roundedTiles
}

/** Bytes of workgroup memory that a tile takes: the staged slices; for subgroup matrices also the
 *  padding of their lines and the memory that sums pass through. */
function bytesOf(run: Run, { M, N, of }: Tile): number {
  const depth = depthFor(run)
  if (!('tall' in of)) return (M + N) * depth * 4
  const parts = run.precision === 'f16x3' ? 2 : 1
  return (M + N) * (depth + 8) * 2 * parts + of.subgroupsX * of.subgroupsY * 1024
}

/** Loads of a thread and slice. */
function loadsOf(run: Run, { M, N, of }: Tile, { a, b }: Factors): number {
  if (!('tall' in of)) return 8
  const threads = 32 * of.subgroupsX * of.subgroupsY
  return (depthFor(run) / threads) * (M / loadWidth(a) + N / loadWidth(b))
}

/** Workgroups of a tile that a processor runs at a time. */
const residentOf = ({ resident, lean = resident }: Tile, { a, b }: Factors): number =>
  a === 'f16x8' && b === 'f16x8' ? lean : resident

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

const PROCESSORS = 132 // of a large GPU (H100, H200)
const ENOUGH = 256 // workgroups that occupy it: about two for each processor
const MIN_SPLIT_K = 256 // k of one split
/** k whose products take a large GPU as long as to write and read one partial sum. */
const PARTIAL_WORTH = { f32: 40, f16x3: 130, f16: 400 } as const
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
  const worth = PARTIAL_WORTH[useMatrices(run) ? run.precision : 'f32']
  return products + (parts === 1 ? 0 : (parts + 1) * worth) // and the sum is written and read again
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
  const made = new Map<Tile, Map<string, (run: Run) => Kernel>>()
  const build = (run: Run, { of }: Tile): ((on: Run) => Kernel) => {
    if (!('tall' in of)) {
      const program = kernel`${tileSource(loader, registersMma(of, loader))}`
      return () => program
    }
    const exact = run.precision === 'f16x3'
    return onMatrices((by) => kernel`${tileSource(loader, subgroupMma(by, exact, of, loader))}`)
  }
  const kernelFor = (run: Run, tile: Tile) => {
    const programs = made.get(tile) ?? new Map<string, (on: Run) => Kernel>()
    made.set(tile, programs)
    const arithmetic = useMatrices(run) ? run.precision : 'f32'
    const program = programs.get(arithmetic) ?? build(run, tile)
    programs.set(arithmetic, program)
    return program(run)
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
  const mma = `${run.precision}${useMatrices(run) ? ' matrices' : ''} ${tiles.length}`
  const layered = layers > 1 ? ` by ${layers}` : ''
  return run.race(
    `${name} ${M} x ${N} x ${K}${layered}, ${mma}`,
    tiles.length,
    guess(tiles, size),
    compute,
  )
}
