// Tables of optimizers, schedules and encoders by name. A new one is a new row.

import * as v from 'valibot'
import { fields, wordOf } from './rules.ts'

/** Rows by name. */
export type Table<Row> = Map<string, Row>

/** Returns the row of that name. Throws RangeError with the setting and the names of the rows. */
export function rowOf<Row>(what: string, table: Table<Row>, name: string): Row {
  const row = table.get(name)
  if (row) return row
  throw new RangeError(`${what}: must be one of ${[...table.keys()].join(', ')}, got ${name}`)
}

/** Returns the rule of a setting { name, ...others }. `name` is the name of a row. The other fields
 *  are those of all rows and the row's own. */
export const rowRule = <T extends { readonly name: string }>(
  table: Table<{ readonly rules: v.ObjectEntries }>,
  common: v.ObjectEntries,
): v.GenericSchema<unknown, T> =>
  v.lazy((input) => {
    const names = [...table.keys()]
    const name: unknown = Object(input).name // undefined if input is no object
    const row = table.get(typeof name === 'string' ? name : '') ?? table.values().next().value
    const rule: unknown = fields({ name: wordOf(...names), ...common, ...row?.rules })
    return rule as v.GenericSchema<unknown, T> // the rows' rules make T
  })
