// What the network is given: two views of a few pictures.

import type { Thumbs } from '../common/api.ts'
import { type Atlas, thumbCanvas } from './atlas.ts'
import { make } from './elements.ts'

/** Shows pictures, each with its two views. */
export class ViewsPanel {
  readonly element = make('section', { class: 'views' })
  readonly #atlas: Atlas

  constructor(atlas: Atlas) {
    this.#atlas = atlas
    this.element.hidden = true
  }

  clear() {
    this.element.hidden = true
  }

  show(pictures: readonly number[], [first, second]: readonly [Thumbs, Thumbs]) {
    const rows = pictures.map((picture, i) =>
      make(
        'div',
        { class: 'triple' },
        this.#atlas.shown(picture),
        thumbCanvas(first, i),
        thumbCanvas(second, i),
      ),
    )
    this.element.replaceChildren(
      make('h2', {}, 'Two views of a picture'),
      make(
        'p',
        { class: 'fine' },
        'It learns to give the second and the third of each row the same features.',
      ),
      make(
        'div',
        { class: 'triples', role: 'img', 'aria-label': 'Pictures with two views' },
        ...rows,
      ),
    )
    this.element.hidden = false
  }
}
