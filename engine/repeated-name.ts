// Finds a name that stands twice in an object of a JSON text. JSON.parse silently takes the last.

/** Returns the first name that stands twice in one object of a valid JSON text, and where it stands
 *  the second time; null if there is none. */
export function repeatedName(text: string): { readonly name: string; readonly at: number } | null {
  const open: Set<string>[] = []
  for (const match of text.matchAll(/("(?:[^"\\]|\\.)*")(\s*:)?|[{}]/g)) {
    const { 0: token, 1: string = '', 2: colon, index } = match
    if (token === '{') open.push(new Set())
    else if (token === '}') open.pop()
    else if (colon !== undefined) {
      const name = String(JSON.parse(string))
      if (open.at(-1)?.has(name)) return { name, at: index }
      open.at(-1)?.add(name)
    }
  }
  return null
}
