// What stands out among the pictures: pairs that are nearly one, and pictures unlike all others.

import type { Neighbourhood } from '../common/api.ts'
import type { Atlas } from './atlas.ts'
import { pictureButton } from './chosen.ts'
import { make } from './elements.ts'

const SHOWN = 12
const ALIKE = 0.98 // cosine from which two pictures may be one

interface Pair {
  readonly a: number
  readonly b: number
  readonly cosine: number
}

/** Pairs of a picture and one of its neighbours, the most alike first. */
export function closePairs({ indices, cosines, k }: Neighbourhood): Pair[] {
  const pairs: Pair[] = []
  const seen = new Set<string>()
  for (let at = 0; at < indices.length; at++) {
    const cosine = cosines[at] ?? 0
    const [i, j] = [Math.floor(at / k), indices[at] ?? 0]
    const [a, b] = [Math.min(i, j), Math.max(i, j)]
    const key = `${a} ${b}`
    if (seen.has(key)) continue
    seen.add(key)
    pairs.push({ a, b, cosine })
  }
  return pairs.sort((p, q) => q.cosine - p.cosine || p.a - q.a || p.b - q.b)
}

/** Pictures by their mean similarity to their nearest, the most unlike first (Ramaswamy, Rastogi and
 *  Shim 2000). */
export function loners({ cosines, k }: Neighbourhood): { picture: number; cosine: number }[] {
  const means = Array.from({ length: k === 0 ? 0 : cosines.length / k }, (_, picture) => {
    let sum = 0
    for (let j = 0; j < k; j++) sum += cosines[picture * k + j] ?? 0
    return { picture, cosine: sum / k }
  })
  return means.sort((a, b) => a.cosine - b.cosine || a.picture - b.picture)
}

interface Shown {
  readonly names: readonly string[]
  readonly atlas: Atlas
  readonly choose: (i: number | null) => void
}

/** Fills the section with both lists. */
export function showLists(section: HTMLElement, found: Neighbourhood | null, shown: Shown) {
  section.hidden = found === null
  if (!found) return
  const pairs = closePairs(found)
  const pairList = make('ol', { class: 'pairs' })
  for (const { a, b, cosine } of pairs.slice(0, SHOWN))
    pairList.append(
      make(
        'li',
        {},
        pictureButton({ picture: a, cosine }, shown),
        pictureButton({ picture: b, cosine }, shown),
      ),
    )
  const loneList = make('ol', { class: 'pictures' })
  for (const lone of loners(found).slice(0, SHOWN))
    loneList.append(make('li', {}, pictureButton(lone, shown)))
  section.replaceChildren(
    make(
      'div',
      { id: 'duplicates' },
      make('h2', {}, 'Near-duplicates'),
      make('p', { class: 'fine' }, pairWords(pairs)),
      pairList,
    ),
    make(
      'div',
      { id: 'outliers' },
      make('h2', {}, 'Outliers'),
      make('p', { class: 'fine' }, 'Unlike all others, by the mean similarity to their nearest.'),
      loneList,
    ),
  )
}

function pairWords(pairs: readonly Pair[]): string {
  const count = pairs.filter(({ cosine }) => cosine >= ALIKE).length
  const have = count === 1 ? 'One pair has' : `${count.toLocaleString('en')} pairs have`
  return `The pairs most alike. ${count === 0 ? 'None has' : have} a similarity of ${ALIKE} or more.`
}
