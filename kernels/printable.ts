// Text that comes from outside, such as names of files, as it may be printed.

// control characters, line and paragraph separators, half surrogates, marks that turn the direction
// of text, byte order mark
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/gu
const short: Readonly<Record<string, string>> = { '\n': '\\n', '\r': '\\r', '\t': '\\t' }

/** The text with every character that a terminal obeys instead of showing spelled out: '\x1b',
 *  '\n', '\u202e'. */
export const printable = (text: string): string => text.replace(UNSAFE, spelled)

/** A text of several lines of our own, each as `printable` has it. */
export const printableLines = (text: string): string => text.split('\n').map(printable).join('\n')

function spelled(character: string): string {
  const code = character.charCodeAt(0)
  const hex = code.toString(16)
  return (
    short[character] ?? (code < 256 ? `\\x${hex.padStart(2, '0')}` : `\\u${hex.padStart(4, '0')}`)
  )
}
