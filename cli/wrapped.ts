// Text for a terminal of any width.

const MOST_INDENT = 0.5 // of the width

/** Returns the text with lines of at most `columns`, broken at spaces. The lines of a paragraph are
 *  filled anew. Of an indented line, the rest stands below its last column, behind two spaces or
 *  more. Commands stay as they are, to be copied. Without `columns`, as of a file, returns the
 *  text. */
export function wrapped(text: string, columns: number | undefined): string {
  if (columns === undefined) return text
  const lines: string[] = []
  for (const line of text.split('\n')) {
    const last = lines.at(-1) ?? ''
    const goesOn = /^\S/.test(last) && /^\S/.test(line) && last.length + line.length > columns
    if (goesOn && !isCommand(line, last) && !/ {2}|:$/.test(last + line))
      lines[lines.length - 1] = `${last} ${line}`
    else lines.push(line)
  }
  return lines
    .map((line, i) => (isCommand(line, lines[i - 1] ?? '') ? line : broken(line, columns)))
    .join('\n')
}

/** Whether a line is a command, or its second line. */
const isCommand = (line: string, before: string) =>
  /^\s*npx |\\$/.test(line) || before.endsWith('\\')

function broken(line: string, columns: number): string {
  const column = /^(.*\S)?\s{2,}(?=\S)/.exec(line)?.[0].length ?? 0
  const indent = column > columns * MOST_INDENT ? 2 : column
  const lines = [line.slice(0, column)]
  for (const word of line.slice(column).split(' ')) {
    const last = lines.at(-1) ?? ''
    if (last.length === column) lines[lines.length - 1] = last + word
    else if (last.length + 1 + word.length <= columns) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(' '.repeat(indent) + word)
  }
  return lines.join('\n')
}
