// Writes lists of names into sentences.

import { printable } from '../kernels/printable.ts'

/** Lists the first `most` names and counts the others: 'a, b, c and 7 more'. */
export function listed(names: readonly string[], most = 5, separator = ', '): string {
  const first = names.slice(0, most).map(printable).join(separator)
  return names.length > most ? `${first} and ${names.length - most} more` : first
}
