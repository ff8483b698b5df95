// What stands out among the pictures: pairs that are nearly one, and pictures unlike all others.

import type { Neighbourhood } from '../common/api.ts'
import type { Atlas } from './atlas.ts'
import { pictureButton } from './chosen.ts'
import { make } from './elements.ts'
import { type PicturePair, closePairs, loners } from './ranking.ts'

const [PAIRS, LONERS] = [8, 12] // shown
const ALIKE = 0.98 // cosine from which two pictures may be one
const MANY = 0.2 // pairs to a picture: more mean a network that sees too little

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
  for (const { a, b, cosine } of pairs.slice(0, PAIRS))
    pairList.append(
      make(
        'li',
        {},
        pictureButton({ picture: a, cosine }, shown),
        pictureButton({ picture: b, cosine }, shown),
      ),
    )
  const loneList = make('ol', { class: 'pictures' })
  for (const lone of loners(found).slice(0, LONERS))
    loneList.append(make('li', {}, pictureButton(lone, shown)))
  section.replaceChildren(
    make(
      'div',
      { id: 'duplicates' },
      make('h2', {}, 'Near-duplicates'),
      make('p', { class: 'fine' }, pairWords(pairs, shown.names.length)),
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

function pairWords(pairs: readonly PicturePair[], pictures: number): string {
  const count = pairs.filter(({ cosine }) => Number(cosine.toFixed(2)) >= ALIKE).length // as shown
  const have = count === 1 ? 'One pair has' : `${count.toLocaleString('en')} pairs have`
  if (count > MANY * pictures)
    return `Too early to tell: ${count.toLocaleString('en')} pairs look the same to the network.`
  return `The pairs most alike. ${count === 0 ? 'None has' : have} a similarity of ${ALIKE} or more.`
}
