// The collapse meter: how far the features spread. A network that finds all pictures alike has
// collapsed, and has learned nothing.

import { make } from './elements.ts'

const LITTLE = 0.1 // of an even spread: below, and far below the untrained network, is a collapse

/** A bar from 0 to 1. */
export class Meter {
  readonly element: HTMLElement
  readonly #bar = make('meter', { min: '0', max: '1', low: '0.1', 'aria-label': 'Spread' })
  readonly #words = make('p', { class: 'fine' })
  #first: number | null = null

  constructor() {
    this.element = make('div', { class: 'spread' }, this.#bar, this.#words)
    this.clear()
  }

  clear() {
    this.#first = null
    this.#bar.value = 0
    this.#words.textContent = 'Measured as training goes on.'
  }

  /** Shows the spread of features at a step. */
  show(spread: number, step: number) {
    if (step === 0) this.#first = spread
    this.#bar.value = Math.min(1, spread)
    const first = this.#first ?? spread
    const isCollapsed = spread < LITTLE && spread < first / 2
    this.element.classList.toggle('is-collapsed', isCollapsed)
    const was = step === 0 ? 'before training' : `${first.toFixed(2)} before training`
    const verdict = isCollapsed
      ? 'Collapsing: it finds all pictures alike. A shorter training or the other method may help.'
      : step === 0
        ? ''
        : 'It tells the pictures apart.'
    this.#words.textContent = `${spread.toFixed(2)} of an even spread (${was}). ${verdict}`
  }
}
