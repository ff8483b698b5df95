// Prints rows of text as a table of at most so many columns of characters.

const GAP = 2

/** The width of printed tables unless another is given. */
export const WIDTH = 80

/** A column: its head, and on which side its cells have room. */
export interface Column {
  readonly head: string
  readonly right?: boolean
}

/** Prints rows under their heads. Where they are wider than `width`, the widest column is
 *  shortened, each cell in its middle. */
export function tabled(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width = WIDTH,
): string[] {
  const all = [columns.map(({ head }) => head), ...rows]
  const widths = columns.map((_, c) => Math.max(...all.map((row) => row[c]?.length ?? 0)))
  const over = () => widths.reduce((sum, w) => sum + w + GAP, -GAP) - width
  for (let most = over(); most > 0; most = over()) {
    const widest = Math.max(...widths)
    if (widest <= LEAST) break
    widths[widths.indexOf(widest)] = widest - 1
  }
  return all.map((row) =>
    columns
      .map(({ right = false }, c) => {
        const cell = shortened(row[c] ?? '', widths[c] ?? 0)
        return right ? cell.padStart(widths[c] ?? 0) : cell.padEnd(widths[c] ?? 0)
      })
      .join(' '.repeat(GAP))
      .trimEnd(),
  )
}

const LEAST = 6 // characters of a column

function shortened(text: string, width: number): string {
  if (text.length <= width) return text
  const front = Math.ceil((width - 1) / 2)
  return `${text.slice(0, front)}…${text.slice(text.length - (width - 1 - front))}`
}

const units = ['', ' K', ' M', ' G', ' T']

/** A count in three digits: 0, 512, 9.41 K, 1.74 G. */
export function amount(count: number): string {
  let [value, unit] = [count, 0]
  while (value >= 999.5 && unit < units.length - 1) [value, unit] = [value / 1000, unit + 1]
  return unit === 0 ? String(value) : `${value.toPrecision(3)}${units[unit]}`
}

/** Bytes in three digits: 512 B, 37.6 KB. */
export function bytesText(bytes: number): string {
  const text = amount(bytes)
  return text.includes(' ') ? `${text}B` : `${text} B`
}
