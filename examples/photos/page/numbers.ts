// The numbers of a training: loss, speed, time left, accuracy.

import type { Measurement } from '../common/api.ts'
import { LossCurve } from './curve.ts'
import { make } from './elements.ts'
import { Meter } from './meter.ts'
import { Speed, timeLeft } from './speed.ts'

/** The panel beside the map. */
export class NumbersPanel {
  readonly element: HTMLElement
  readonly #speed = new Speed()
  readonly #curve = new LossCurve()
  readonly #meter = new Meter()
  readonly #loss = make('dd', { id: 'loss' }, '–')
  readonly #rate = make('dd', { id: 'rate' }, '–')
  readonly #left = make('dd', { id: 'left' }, '–')
  readonly #accuracy = make('div', { class: 'accuracy' })
  #steps = 0
  #untrained: number | null = null

  constructor() {
    const figure = (name: string, value: HTMLElement) =>
      make('div', {}, make('dt', {}, name), value)
    this.element = make(
      'div',
      { class: 'numbers' },
      make(
        'dl',
        { class: 'figures' },
        figure('Loss', this.#loss),
        figure('Pictures / s', this.#rate),
        figure('Time left', this.#left),
      ),
      this.#curve.element,
      make('h2', {}, 'Spread of the features'),
      this.#meter.element,
      this.#accuracy,
    )
  }

  clear() {
    this.#curve.set([], [])
    this.#meter.clear()
    this.#accuracy.replaceChildren()
    this.#untrained = null
    for (const element of [this.#loss, this.#rate, this.#left]) element.textContent = '–'
  }

  /** Begins a training of so many steps. */
  start(steps: number) {
    this.#steps = steps
    this.#speed.restart()
  }

  stop() {
    this.#rate.textContent = '–'
    this.#left.textContent = '–'
  }

  /** Shows the losses of a training that was opened. */
  losses(steps: readonly number[], losses: readonly number[]) {
    this.#curve.set(steps, losses)
    const last = losses.at(-1)
    if (last !== undefined) this.#loss.textContent = last.toFixed(3)
  }

  step(step: number, loss: number, images: number) {
    this.#curve.add(step, loss)
    this.#speed.add(images)
    this.#loss.textContent = loss.toFixed(3)
    const { imagesPerSecond, stepsPerSecond } = this.#speed
    if (imagesPerSecond === null || stepsPerSecond === null) return
    this.#rate.textContent = imagesPerSecond.toLocaleString('en', {
      maximumFractionDigits: imagesPerSecond < 10 ? 1 : 0,
    })
    this.#left.textContent = timeLeft((this.#steps - step) / stepsPerSecond)
  }

  measured({ step, spread, knn, untrained, pixels }: Measurement) {
    if (spread !== undefined) this.#meter.show(spread, step)
    this.#untrained = untrained ?? this.#untrained
    const now = knn ?? untrained
    if (now === undefined) return
    const percent = (value: number) => `${value.toFixed(1)}%`
    const rows = [
      ...(pixels === undefined ? [] : [['By raw pixels', percent(pixels), 'pixels']]),
      ...(this.#untrained === null ? [] : [['Untrained', percent(this.#untrained), 'untrained']]),
      ['Now', knn === undefined ? '–' : percent(knn), 'knn'],
    ] as [string, string, string][]
    const kept = pixels === undefined ? [...this.#accuracy.querySelectorAll('tr')].slice(0, 1) : []
    const made = rows.map(([name, value, id]) =>
      make(
        'tr',
        {},
        make('th', { scope: 'row' }, name),
        make('td', { id: `accuracy-${id}` }, value),
      ),
    )
    this.#accuracy.replaceChildren(
      make('h2', {}, 'Neighbours of the same kind'),
      make('table', {}, make('tbody', {}, ...kept, ...made)),
    )
  }
}
