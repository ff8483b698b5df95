// The map: thumbnails where the layout puts them. They glide to new places.

import type { Atlas } from './atlas.ts'
import { Camera, type Places } from './camera.ts'
import { gridOf } from './grid.ts'

const GLIDE = 450 // milliseconds
const ROOM = 0.75 // of the canvas that thumbnails would fill, side by side
const VEIL = 0.78 // over all but the chosen picture and its neighbours
const [LEAST, MOST] = [14, 84] // pixels of a thumbnail when all are seen

/** Draws thumbnails on a canvas. */
export class PictureMap {
  readonly camera = new Camera()
  readonly #canvas: HTMLCanvasElement
  readonly #atlas: Atlas
  #from: Places = new Float32Array()
  #to: Places = new Float32Array()
  #began = 0
  #isDue = false // in the next frame
  #isGrid = true
  #marked: ReadonlySet<number> = new Set()
  #chosen: number | null = null

  constructor(canvas: HTMLCanvasElement, atlas: Atlas) {
    this.#canvas = canvas
    this.#atlas = atlas
    new ResizeObserver(() => this.#resize()).observe(canvas)
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.redraw())
  }

  /** Where the pictures are going. */
  get places(): Places {
    return this.#to
  }

  /** Shows the pictures in rows, in their order: there is no map yet. */
  showGrid() {
    this.#isGrid = true
    this.camera.reset()
    this.#to = gridOf(this.#atlas.count, this.camera.width / this.camera.height)
    this.#from = this.#to
    this.redraw()
  }

  /** Moves the pictures to new places, at once where the user wants less motion. */
  moveTo(places: Places) {
    this.#from = this.#isGrid || this.#to.length !== places.length ? places : this.#placesNow()
    this.#isGrid = false
    this.#to = places
    this.#began = matchMedia('(prefers-reduced-motion: reduce)').matches
      ? -Infinity
      : performance.now()
    this.redraw()
  }

  /** Marks a picture as chosen, and others as its neighbours. */
  choose(chosen: number | null, neighbours: readonly number[] = []) {
    this.#chosen = chosen
    this.#marked = new Set(neighbours)
    if (chosen !== null) this.camera.reveal(...this.#placeOf(chosen), 40)
    this.redraw()
  }

  /** The picture under a pixel of the canvas, or null. */
  at(x: number, y: number): number | null {
    const size = this.#size()
    let [best, least]: [number | null, number] = [null, size * 0.75]
    for (let i = 0; i < this.#to.length / 2; i++) {
      const [px, py] = this.camera.project(...this.#placeOf(i))
      const far = Math.max(Math.abs(px - x), Math.abs(py - y))
      if (far < least) [best, least] = [i, far]
    }
    return best
  }

  /** Asks for a frame. */
  redraw() {
    if (this.#isDue) return
    this.#isDue = true
    requestAnimationFrame(() => {
      this.#isDue = false
      this.#paint()
    })
  }

  #resize() {
    const { clientWidth, clientHeight } = this.#canvas
    if (clientWidth === 0) return
    this.camera.width = clientWidth
    this.camera.height = clientHeight
    this.#canvas.width = clientWidth * devicePixelRatio
    this.#canvas.height = clientHeight * devicePixelRatio
    if (this.#isGrid) this.showGrid()
    else this.redraw()
  }

  /** How far the glide is, from 0 to 1. */
  #progress(): number {
    const t = Math.min(1, (performance.now() - this.#began) / GLIDE)
    return 1 - (1 - t) ** 3
  }

  #placesNow(): Places {
    const t = this.#progress()
    return t === 1
      ? this.#to
      : this.#to.map((to, i) => (this.#from[i] ?? to) + (to - (this.#from[i] ?? to)) * t)
  }

  #placeOf = (i: number): [number, number] => [this.#to[2 * i] ?? 0, this.#to[2 * i + 1] ?? 0]

  /** The side of a thumbnail in CSS pixels. */
  #size(): number {
    const { width, height, zoom } = this.camera
    const count = Math.max(1, this.#to.length / 2)
    const fair = Math.sqrt((width * height) / count)
    if (this.#isGrid) return Math.min(2 * MOST, 0.94 * fair) * zoom ** 0.6
    return Math.min(MOST, Math.max(LEAST, fair * ROOM)) * zoom ** 0.6
  }

  #paint() {
    const context = this.#canvas.getContext('2d')
    if (!context) return
    const { camera } = this
    context.setTransform(devicePixelRatio, 0, 0, devicePixelRatio, 0, 0)
    context.clearRect(0, 0, camera.width, camera.height)
    if (this.#to.length === 0) return
    context.imageSmoothingQuality = 'high'
    const { color, backgroundColor } = getComputedStyle(this.#canvas)
    context.strokeStyle = color
    context.fillStyle = backgroundColor // a hairline around each picture
    const places = this.#placesNow()
    const size = this.#size()
    camera.fit(places, size * (this.#isGrid ? 0.52 : 0.7))
    const paint = (isFront: boolean) => {
      for (let i = 0; i < places.length / 2; i++)
        if (this.#isFront(i) === isFront) this.#paintOne(context, places, i, size)
    }
    paint(false)
    if (this.#chosen !== null) {
      context.globalAlpha = VEIL
      context.fillRect(0, 0, camera.width, camera.height)
      context.globalAlpha = 1
    }
    paint(true)
    if (this.#chosen !== null) this.#paintOne(context, places, this.#chosen, size)
    if (this.#progress() < 1) this.redraw()
  }

  /** Tells whether a picture lies over the others: all do while none is chosen. */
  #isFront(i: number): boolean {
    return this.#chosen === null || i === this.#chosen || this.#marked.has(i)
  }

  #paintOne(context: CanvasRenderingContext2D, places: Places, i: number, size: number) {
    const [x, y] = this.camera.project(places[2 * i] ?? 0, places[2 * i + 1] ?? 0)
    const { width, height } = this.camera
    if (x < -size || y < -size || x > width + size || y > height + size) return
    const isChosen = i === this.#chosen
    const isMarked = this.#marked.has(i)
    const side = size * (isChosen ? 1.5 : isMarked ? 1.15 : 1)
    context.fillRect(x - side / 2 - 1, y - side / 2 - 1, side + 2, side + 2)
    this.#atlas.draw(context, i, x - side / 2, y - side / 2, side)
    if (!isChosen && !isMarked) return
    context.lineWidth = isChosen ? 3 : 2
    context.strokeRect(x - side / 2, y - side / 2, side, side)
  }
}
