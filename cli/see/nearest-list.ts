// The nearest images as lines for a terminal.

import { printable } from '../../kernels/printable.ts'
import { type Pictures, classOf } from './pictures.ts'

/** An image that is near, with its cosine. */
export interface Near {
  readonly i: number
  readonly cosine: number
}

const COLUMNS = 60 // of a list where the terminal does not tell its width

/** Writes a list for each image: rank, cosine, class, path. A path that is too long for the
 *  terminal loses its middle, and so does a class of more than 12 letters; both are whole where the
 *  output is no terminal. */
export function nearestLines(
  { names: images }: Pick<Pictures, 'names'>,
  pictures: Pictures,
  lists: readonly (readonly Near[])[],
  columns = process.stdout.isTTY ? process.stdout.columns || COLUMNS : Infinity,
): string {
  const classes = lists.flat().map(({ i }) => printable(classOf(pictures, i) ?? ''))
  const wide = Math.min(
    columns === Infinity ? Infinity : 12,
    classes.reduce((most, name) => Math.max(most, name.length), 0),
  )
  const room = columns - 11 - (wide > 0 ? wide + 2 : 0)
  return lists
    .map((list, q) => {
      const rows = list.map(({ i, cosine }, j) => {
        const label =
          wide > 0 ? `${shortened(printable(classOf(pictures, i) ?? ''), wide).padEnd(wide)}  ` : ''
        const name = shortened(printable(pictures.names[i] ?? ''), room)
        return `${String(j + 1).padStart(3)}  ${cosine.toFixed(3)} ${label}${name}\n`
      })
      return `${shortened(printable(images[q] ?? ''), columns)}\n${rows.join('')}`
    })
    .join('\n')
}

/** Takes the middle out of a text that has more than `most` characters. */
export function shortened(text: string, most: number): string {
  if (text.length <= most) return text
  const [head, tail] = [Math.floor((most - 1) / 3), Math.ceil(((most - 1) * 2) / 3)]
  return `${text.slice(0, head)}…${text.slice(text.length - tail)}`
}
