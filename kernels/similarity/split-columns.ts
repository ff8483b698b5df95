// How a loss deals out the columns of its similarities, as shares that workgroups sum by themselves.

import type { Run } from '../op.ts'
import { TILE, tileRows } from './tiles.ts'

interface Work {
  /** Rows, padded, and columns of the similarities. */
  readonly rows: number
  readonly columns: number
  /** Workgroups that fill a large GPU. */
  readonly enough: number
  /** Numbers that a share makes, where they are many, and the most bytes of them, unless one share alone has more. */
  readonly makes?: number
  readonly mostBytes?: number
}

/** The workgroups of rows, the shares of columns, and how many columns each has, at most. */
export function columnShares(run: Run, { rows, columns, enough, makes = 0, mostBytes = Infinity }: Work) {
  const tiles = rows / tileRows(run)
  const chunks = Math.ceil(columns / TILE)
  const fitting = makes > 0 ? Math.max(1, Math.floor(mostBytes / (4 * makes))) : Infinity
  const span = Math.ceil(chunks / Math.min(chunks, fitting, Math.ceil((run.software ? 16 : enough) / tiles)))
  return { tiles, splits: Math.ceil(chunks / span), span: span * TILE }
}
