// The chosen picture, and its nearest neighbours before training and now.

import type { Neighbourhood } from '../common/api.ts'
import type { Atlas } from './atlas.ts'
import { button, make } from './elements.ts'
import { nearestOf } from './ranking.ts'

/** What is known of the neighbours of all pictures. */
export interface KnownNeighbours {
  readonly before: Neighbourhood | null
  readonly now: Neighbourhood | null
  /** The step of `now`. */
  readonly step: number
}

interface Shown {
  readonly names: readonly string[]
  readonly atlas: Atlas
  /** The whole picture, where there is a file of it. */
  readonly file: File | null
  readonly choose: (i: number | null) => void
}

/** Fills the section with picture `i`; hides it for null. */
export function showChosen(
  section: HTMLElement,
  i: number | null,
  known: KnownNeighbours,
  shown: Shown,
) {
  for (const image of section.querySelectorAll('img')) URL.revokeObjectURL(image.src)
  section.hidden = i === null
  if (i === null) return section.replaceChildren()
  const { names, choose } = shown
  const name = names[i] ?? ''
  const close = button('Close', () => choose(null), { class: 'link' })
  const rows = [
    row('Nearest before training', known.before, i, shown),
    row(
      known.now === null ? 'Nearest now' : `Nearest after ${known.step.toLocaleString('en')} steps`,
      known.now,
      i,
      shown,
    ),
  ]
  return section.replaceChildren(
    make('figure', { class: 'whole' }, whole(i, shown), make('figcaption', {}, name, ' ', close)),
    make('div', { class: 'rows' }, ...rows),
  )
}

/** The picture itself: the user's file if it can still be read, else its thumbnail. */
function whole(i: number, { file, atlas, names }: Shown): HTMLElement {
  if (!file) return atlas.shown(i)
  const image = make('img', { alt: names[i] ?? '', decoding: 'async' })
  image.addEventListener('error', () => image.replaceWith(atlas.shown(i)))
  image.src = URL.createObjectURL(file)
  return image
}

function row(title: string, found: Neighbourhood | null, i: number, shown: Shown): HTMLElement {
  const heading = make('h2', {}, title)
  if (!found) return make('div', {}, heading, make('p', { class: 'fine' }, 'Not known yet.'))
  const list = make('ol', { class: 'pictures' })
  for (const near of nearestOf(found, i)) list.append(make('li', {}, pictureButton(near, shown)))
  return make('div', {}, heading, list)
}

/** A picture to press, with its similarity. */
export function pictureButton(
  { picture, cosine }: { readonly picture: number; readonly cosine: number },
  { names, atlas, choose }: Pick<Shown, 'names' | 'atlas' | 'choose'>,
): HTMLButtonElement {
  const label = `${names[picture] ?? ''}, similarity ${cosine.toFixed(2)}`
  const made = button('', () => choose(picture), {
    class: 'picture',
    'aria-label': label,
    title: label,
  })
  made.append(atlas.shown(picture), make('span', {}, cosine.toFixed(2)))
  return made
}
