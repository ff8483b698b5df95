// Tables of what a setting may name: a row by each name, so that another row is all that a new
// optimizer, schedule or encoder needs.

import * as v from 'valibot'
import { fields, wordOf } from './rules.ts'

/** Rows by name. */
export type Table<Row> = Map<string, Row>

/** The row of that name. Throws RangeError naming the table and its rows. */
export function rowOf<Row>(what: string, table: Table<Row>, name: string): Row {
  const row = table.get(name)
  if (row) return row
  throw new RangeError(`${what}: must be one of ${[...table.keys()].join(', ')}, got ${name}`)
}

/** The rule of a setting { name, ...others } whose `name` is that of a row: the fields that all rows
 *  have, and the row's own. */
export const rowRule = <T extends { readonly name: string }>(
  table: Table<{ readonly rules: v.ObjectEntries }>,
  common: v.ObjectEntries,
): v.GenericSchema<unknown, T> =>
  v.lazy((input) => {
    const names = [...table.keys()]
    const name: unknown = Object(input).name // of what is no object, undefined
    const row = table.get(typeof name === 'string' ? name : '') ?? table.values().next().value
    const rule: unknown = fields({ name: wordOf(...names), ...common, ...row?.rules })
    return rule as v.GenericSchema<unknown, T> // as the rows' rules say
  })
