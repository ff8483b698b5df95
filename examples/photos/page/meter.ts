// The collapse meter: how far the features spread. A network that finds all pictures alike has
// collapsed, and has learned nothing.

import { make } from './elements.ts'

const LITTLE = 0.1 // of an even spread: below, and far below the untrained network, is a collapse

/** A bar from 0 to 1. */
export class Meter {
  readonly element: HTMLElement
  readonly #fill = make('div', { class: 'fill' })
  readonly #mark = make('div', { class: 'mark', title: 'Before training' })
  readonly #bar = make(
    'div',
    {
      class: 'bar-of',
      role: 'meter',
      'aria-label': 'Spread',
      'aria-valuemin': '0',
      'aria-valuemax': '1',
    },
    this.#fill,
    this.#mark,
  )
  readonly #words = make('p', { class: 'fine' })
  #first: number | null = null

  constructor() {
    this.element = make('div', { class: 'spread' }, this.#bar, this.#words)
    this.clear()
  }

  clear() {
    this.#first = null
    this.#set(0)
    this.#mark.hidden = true
    this.#words.textContent = 'Measured as training goes on.'
  }

  /** Shows the spread of features at a step. */
  show(spread: number, step: number) {
    if (step === 0) this.#first = spread
    this.#set(spread)
    this.#mark.hidden = this.#first === null
    this.#mark.style.left = `${100 * Math.min(1, this.#first ?? 0)}%`
    const first = this.#first ?? spread
    const isCollapsed = spread < LITTLE && spread < first / 2
    this.element.classList.toggle('is-collapsed', isCollapsed)
    const was = step === 0 ? ', before training' : `; it was ${first.toFixed(2)} before training`
    const verdict = isCollapsed
      ? 'Collapsing: it finds all pictures alike. A shorter training or the other method may help.'
      : step === 0
        ? ''
        : 'No collapse.'
    this.#words.textContent = `${spread.toFixed(2)}, where 1 is spread evenly${was}. ${verdict}`
  }

  #set(spread: number) {
    this.#bar.setAttribute('aria-valuenow', spread.toFixed(2))
    this.#fill.style.width = `${100 * Math.min(1, spread)}%`
  }
}
