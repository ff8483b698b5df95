// The loss over the steps: every step faint, a running mean over it.

import uPlot from 'uplot'

const MEMORY = 0.9 // of the running mean

/** A chart of losses. */
export class LossCurve {
  readonly element = document.createElement('div')
  #plot: uPlot | null = null
  #steps: number[] = []
  #losses: number[] = []
  #means: number[] = []
  #isDue = false // in the next frame

  constructor() {
    this.element.className = 'curve'
    this.element.setAttribute('role', 'img')
    new ResizeObserver(() => this.#fit()).observe(this.element)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.#remake())
  }

  /** Replaces all losses. */
  set(steps: readonly number[], losses: readonly number[]) {
    this.#steps = []
    this.#losses = []
    this.#means = []
    for (const [i, step] of steps.entries()) this.#push(step, losses[i] ?? NaN)
    this.#draw()
  }

  /** Adds a loss. A step that was made already, before a lost device, is replaced. */
  add(step: number, loss: number) {
    while ((this.#steps.at(-1) ?? 0) >= step)
      for (const list of [this.#steps, this.#losses, this.#means]) list.pop()
    this.#push(step, loss)
    if (this.#isDue) return
    this.#isDue = true
    requestAnimationFrame(() => {
      this.#isDue = false
      this.#draw()
    })
  }

  #push(step: number, loss: number) {
    const last = this.#means.at(-1)
    this.#steps.push(step)
    this.#losses.push(loss)
    this.#means.push(last === undefined ? loss : MEMORY * last + (1 - MEMORY) * loss)
  }

  #draw() {
    const [first, last] = [this.#losses[0], this.#means.at(-1)]
    const words = `Loss over ${this.#steps.length} steps`
    this.element.setAttribute(
      'aria-label',
      first === undefined || last === undefined
        ? words
        : `${words}, from ${first.toFixed(2)} to ${last.toFixed(2)}`,
    )
    if (this.#plot) this.#plot.setData([this.#steps, this.#losses, this.#means])
    else this.#remake()
  }

  #fit() {
    const width = this.element.clientWidth
    if (width === 0) return
    if (this.#plot) this.#plot.setSize({ width, height: HEIGHT })
    else this.#remake()
  }

  #remake() {
    this.#plot?.destroy()
    this.#plot = null
    const width = this.element.clientWidth
    if (width === 0 || this.#steps.length === 0) return
    const data: uPlot.AlignedData = [this.#steps, this.#losses, this.#means]
    this.#plot = new uPlot(optionsOf(width), data, this.element)
  }
}

const HEIGHT = 150

function optionsOf(width: number): uPlot.Options {
  const style = getComputedStyle(document.documentElement)
  const colour = (name: string) => style.getPropertyValue(`--${name}`)
  const axis = {
    stroke: colour('soft'),
    font: '11px system-ui, sans-serif',
    grid: { stroke: colour('line'), width: 1 },
    ticks: { show: false },
  }
  return {
    width,
    height: HEIGHT,
    padding: [8, 12, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { x: { time: false } },
    axes: [
      { ...axis, size: 26 },
      { ...axis, size: 38 },
    ],
    series: [
      {},
      { stroke: colour('pale'), width: 1, points: { show: false } },
      { stroke: colour('accent'), width: 2, points: { show: false } },
    ],
  }
}
