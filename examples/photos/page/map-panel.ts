// The map with its controls: features before training or now, zoom, the chosen picture.

import { type Remote, proxy } from 'comlink'
import type { Neighbourhood } from '../common/api.ts'
import type { LayoutWorker } from '../layout/worker.ts'
import type { Atlas } from './atlas.ts'
import { byId } from './elements.ts'
import { listenTo, zoom } from './map-input.ts'
import { PictureMap } from './map.ts'

/** Whose features a map shows. */
export type When = 'before' | 'now'

/** The map panel of the page. */
export class MapPanel {
  readonly map: PictureMap
  readonly #layout: Remote<LayoutWorker>
  readonly #setChosen: (i: number | null) => void
  #places: Record<When, Float32Array | null> = { before: null, now: null }
  #waiting: Partial<Record<When, Neighbourhood>> = {}
  #isLaying = false
  #set = 0 // counts sets of pictures, so that places of an earlier one are passed over
  #when: When = 'now'

  constructor(atlas: Atlas, layout: Remote<LayoutWorker>, choose: (i: number | null) => void) {
    const canvas = byId('map', HTMLCanvasElement)
    this.map = new PictureMap(canvas, atlas)
    this.#layout = layout
    this.#setChosen = listenTo(canvas, this.map, choose)
    byId('zoom-in').addEventListener('click', () => zoom(this.map, 1.5))
    byId('zoom-out').addEventListener('click', () => zoom(this.map, 1 / 1.5))
    byId('zoom-all').addEventListener('click', () => zoom(this.map, 0))
    for (const button of byId('when').querySelectorAll('button'))
      button.addEventListener('click', () =>
        this.#show(button.dataset['when'] === 'before' ? 'before' : 'now'),
      )
    this.clear()
  }

  /** Whose features are shown. */
  get when(): When {
    return this.#when
  }

  /** Forgets all places: the pictures are others. */
  clear() {
    this.#set++
    this.#places = { before: null, now: null }
    this.#waiting = {}
    this.#when = 'now'
    void this.#layout.stop()
    this.map.choose(null)
    this.map.showGrid()
    this.#update()
  }

  /** Lays the pictures out by new neighbours. */
  neighbours(when: When, found: Neighbourhood) {
    this.#waiting[when] = found
    if (!this.#isLaying) void this.#layAll()
  }

  /** Shows which picture is chosen. */
  choose(i: number | null, neighbours: readonly number[]) {
    this.#setChosen(i)
    this.map.choose(i, neighbours)
  }

  async #layAll() {
    this.#isLaying = true
    for (;;) {
      const when = this.#waiting.before ? 'before' : this.#waiting.now ? 'now' : null
      const found = when && this.#waiting[when]
      if (!when || !found) break
      delete this.#waiting[when]
      const set = this.#set
      const start = when === 'now' ? (this.#places.now ?? this.#places.before) : null
      const moved = (places: Float32Array) => {
        if (set === this.#set) this.#moved(when, places)
      }
      await this.#layout.lay(found, start, proxy(moved))
    }
    this.#isLaying = false
  }

  #moved(when: When, places: Float32Array) {
    this.#places[when] = places
    const isShown = when === this.#when || (this.#when === 'now' && !this.#places.now)
    if (isShown) this.map.moveTo(places)
    this.#update()
  }

  #show(when: When) {
    this.#when = when
    const places = this.#places[when] ?? this.#places.before
    if (places) this.map.moveTo(places)
    this.#update()
  }

  /** Puts the controls and words right. */
  #update() {
    const { before, now } = this.#places
    byId('when').hidden = !before || !now
    for (const button of byId('when').querySelectorAll('button'))
      button.setAttribute('aria-pressed', String(button.dataset['when'] === this.#when))
    byId('map-words').textContent = !before
      ? 'The pictures, in their order. Training will lay them out by what is alike.'
      : this.#when === 'now' && now
        ? 'What the network now finds alike lies together. Choose a picture to see its neighbours.'
        : 'What the untrained network finds alike. Choose a picture to see its neighbours.'
  }
}
