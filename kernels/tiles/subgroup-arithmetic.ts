// The tiles of products on subgroup matrices.

import type { Matrices } from '../wgsl/subgroup-matrix.ts'
import type { Arithmetic, Tile } from './arithmetic.ts'
import { type SubgroupTile, subgroupDepth, subgroupMma } from './mma-subgroup.ts'

/** A tile, and how many workgroups of it a processor runs, as `Tile` has them. */
interface Sized extends SubgroupTile, Pick<Tile, 'resident' | 'lean'> {}

const sized = (
  resident: number,
  tall: SubgroupTile['tall'],
  wide: SubgroupTile['wide'],
  subgroupsX: SubgroupTile['subgroupsX'],
  subgroupsY: SubgroupTile['subgroupsY'],
): Sized => ({ resident, tall, wide, subgroupsX, subgroupsY })

// A subgroup's 64 x 64 sums take 128 of a thread's 255 registers, and each load of the next slice
// takes four. f16x3 has two sums for each of y's.
const roundedTiles: readonly Sized[] = [
  sized(2, 4, 4, 2, 2),
  sized(1, 4, 2, 4, 2),
  sized(2, 4, 4, 1, 4),
  sized(3, 4, 2, 2, 2),
  { ...sized(4, 2, 2, 2, 2), lean: 5 },
]
// Where subgroups of 32 must be asked for (AMD), 64 x 64 sums spill (docs/kernels.md).
const narrowTiles = [sized(1, 4, 2, 4, 2), sized(3, 4, 2, 2, 2), sized(4, 2, 2, 2, 2)]
const splitTiles = [sized(1, 4, 2, 4, 2), sized(2, 4, 2, 2, 2), sized(3, 2, 2, 2, 2)]

/** Products on subgroup matrices, in f16, or `exact`: in f16x3. */
export function onSubgroups(by: Matrices, exact: boolean): Arithmetic {
  const depth = subgroupDepth(exact)
  const tileOf = ({ resident, lean = resident, ...of }: Sized): Tile => {
    const { tall, wide, subgroupsX, subgroupsY } = of
    const [M, N] = [subgroupsY * 16 * tall, subgroupsX * 16 * wide]
    const staged = (M + N) * (depth + 8) * 2 * (exact ? 2 : 1) // their lines are padded
    const subgroups = subgroupsX * subgroupsY
    return {
      ...{ M, N, resident, lean, threads: 32 * subgroups },
      bytes: staged + subgroups * 1024, // which sums pass through
      mma: (loader) => subgroupMma(by, exact, of, loader),
    }
  }
  const tiles = exact ? splitTiles : by.asks ? narrowTiles : roundedTiles
  return {
    name: 'matrices',
    tiles: tiles.map(tileOf),
    depth,
    partialWorth: exact ? 130 : 400,
    finish: by.finish,
  }
}
