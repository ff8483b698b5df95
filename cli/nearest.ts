// The known word that an unknown one was probably meant to be.

/** The word nearest to `given`, or null when none is near: a third of its letters may differ, be
 * missing or swapped. */
export function nearest(given: string, known: readonly string[]): string | null {
  const far = Math.max(1, Math.floor(given.length / 3))
  const [best] = known
    .map((word) => ({ word, distance: distance(given.toLowerCase(), word.toLowerCase()) }))
    .filter((found) => found.distance <= far)
    .sort((a, b) => a.distance - b.distance)
  return best?.word ?? null
}

/** How many letters must be changed, added, left out or swapped with their neighbour. */
function distance(a: string, b: string): number {
  let [before, last] = [[] as number[], Array.from({ length: b.length + 1 }, (_, j) => j)]
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1
      const swapped =
        a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1] ? (before[j - 2] ?? Infinity) + 1 : Infinity
      row.push(
        Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + same, swapped),
      )
    }
    ;[before, last] = [last, row]
  }
  return last[b.length] ?? Infinity
}
