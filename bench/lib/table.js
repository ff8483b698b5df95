/** Lines of cells, the head first, in columns for a terminal or as Markdown. A line with fewer
 *  cells than the head ends in a message, which widens no column. */
export function table(lines, { markdown = false } = {}) {
  const [head] = lines
  if (markdown) {
    const [first, ...others] = lines.map((line) => head.map((_, i) => line[i] ?? ''))
    return [first, head.map(() => '---'), ...others]
      .map((cells) => `| ${cells.join(' | ')} |`)
      .join('\n')
  }
  const full = lines.filter(({ length }) => length === head.length)
  const widths = head.map((_, i) => Math.max(...full.map((line) => line[i].length)))
  return lines
    .map((line) =>
      line
        .map((cell, i) => cell.padEnd(widths[i]))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
