// Split-K for similarities: how many parts the columns are cut into. Each part is summed by
// workgroups of its own.

import type { Run } from '../op.ts'
import { TILE, tileRows } from './tiles.ts'

interface Work {
  /** Rows and columns of the similarities. */
  readonly rows: number
  readonly columns: number
  /** Workgroups that fill a large GPU. */
  readonly enough: number
  /** Numbers that one split writes. Give it where they are many. */
  readonly makes?: number
  /** Limit of the bytes that all splits write together. One split may still exceed it alone. */
  readonly mostBytes?: number
}

/** Returns `tiles`, the workgroups that cover the rows, `splits`, the parts that the columns are
 *  cut into, and `span`, the columns of a part (the last may have fewer). */
export function splitColumns(run: Run, work: Work) {
  const { rows, columns, enough, makes = 0, mostBytes = Infinity } = work
  const tiles = Math.ceil(rows / tileRows(run))
  const chunks = Math.ceil(columns / TILE)
  const fitting = makes > 0 ? Math.max(1, Math.floor(mostBytes / (4 * makes))) : Infinity
  const wanted = Math.ceil((run.software ? 16 : enough) / tiles)
  const span = Math.ceil(chunks / Math.min(chunks, fitting, wanted))
  return { tiles, splits: Math.ceil(chunks / span), span: span * TILE }
}
