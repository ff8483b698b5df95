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

/** Returns a note with lines of at most `columns`, each broken at spaces. What follows `command`,
 *  such as 'npx kindred', stays in one piece, to be copied. */
export const wrappedNote = (text: string, columns: number, command: string): string =>
  text
    .split('\n')
    .map((line) => broken(line, columns, wordsBefore(command)))
    .join('\n')

/** Returns the function that splits a text into words, of which the last begins with `command`. */
const wordsBefore = (command: string) => (text: string) => {
  const at = text.indexOf(`${command} `)
  const words = text.slice(0, at < 0 ? text.length : at).split(' ')
  return at < 0 ? words : [...words.slice(0, -1), words.at(-1) + text.slice(at)]
}

/** Whether a line is a command, or its second line. */
const isCommand = (line: string, before: string) =>
  /^\s*npx |\\$/.test(line) || before.endsWith('\\')

function broken(
  line: string,
  columns: number,
  wordsOf = (text: string): readonly string[] => text.split(' '),
): string {
  if (line.length <= columns) return line

  const column = /^(.*\S)?\s{2,}(?=\S)/.exec(line)?.[0].length ?? 0
  const indent = column > columns * MOST_INDENT ? 2 : column
  const lines = [line.slice(0, column)]
  for (const word of wordsOf(line.slice(column))) {
    const last = lines.at(-1) ?? ''
    if (last.length === column) lines[lines.length - 1] = last + word
    else if (last.length + 1 + word.length <= columns) lines[lines.length - 1] = `${last} ${word}`
    else lines.push(' '.repeat(indent) + word)
  }
  return lines.join('\n')
}
