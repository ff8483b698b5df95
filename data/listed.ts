// Lists of names in sentences.

import { printable } from '../kernels/printable.ts'

/** The first `most` names, and how many more there are: 'a, b, c and 7 more'. */
export function listed(names: readonly string[], most = 5, separator = ', '): string {
  const first = names.slice(0, most).map(printable).join(separator)
  return names.length > most ? `${first} and ${names.length - most} more` : first
}
