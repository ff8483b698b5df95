// What part of the map is seen: from places of pictures to pixels of the canvas, and back.

/** Places of pictures, [M, 2]. */
export type Places = Float32Array

const MOST_ZOOM = 24
const STRETCH = 1.6 // of one axis over the other, at most: a map's axes mean nothing

/** A camera over the map. At zoom 1 all pictures are seen. */
export class Camera {
  zoom = 1
  /** Size of the canvas in CSS pixels. */
  width = 1
  height = 1
  #middle: [number, number] = [0, 0] // of all places
  #scale: [number, number] = [1, 1] // pixels of a unit at zoom 1
  #pan: [number, number] = [0, 0] // pixels

  /** Fits all places into the canvas, with `edge` pixels around. */
  fit(places: Places, edge: number) {
    const [x, y] = [boundsOf(places, 0), boundsOf(places, 1)]
    this.#middle = [(x.low + x.high) / 2, (y.low + y.high) / 2]
    const across = Math.max(1, this.width - 2 * edge) / Math.max(1e-6, x.high - x.low)
    const down = Math.max(1, this.height - 2 * edge) / Math.max(1e-6, y.high - y.low)
    const most = STRETCH * Math.min(across, down)
    this.#scale = [Math.min(across, most), Math.min(down, most)]
  }

  /** Shows everything. */
  reset() {
    this.zoom = 1
    this.#pan = [0, 0]
  }

  /** Pixels of a place. */
  project(x: number, y: number): readonly [x: number, y: number] {
    return [
      this.width / 2 + this.#pan[0] + (x - this.#middle[0]) * this.#scale[0] * this.zoom,
      this.height / 2 + this.#pan[1] + (y - this.#middle[1]) * this.#scale[1] * this.zoom,
    ]
  }

  /** Zooms by a factor around a pixel. */
  zoomBy(factor: number, [x, y]: readonly [number, number]) {
    const zoom = Math.min(MOST_ZOOM, Math.max(1, this.zoom * factor))
    const ratio = zoom / this.zoom
    const from = [x - this.width / 2, y - this.height / 2] as const
    this.#pan = [
      from[0] - (from[0] - this.#pan[0]) * ratio,
      from[1] - (from[1] - this.#pan[1]) * ratio,
    ]
    this.zoom = zoom
    if (zoom === 1) this.#pan = [0, 0]
  }

  panBy(dx: number, dy: number) {
    if (this.zoom > 1) this.#pan = [this.#pan[0] + dx, this.#pan[1] + dy]
  }

  /** Brings a place into view, if it is not. */
  reveal(x: number, y: number, edge: number) {
    const [px, py] = this.project(x, y)
    const inside = (at: number, end: number) => Math.min(end - edge, Math.max(edge, at))
    this.panBy(inside(px, this.width) - px, inside(py, this.height) - py)
  }
}

function boundsOf(places: Places, axis: 0 | 1) {
  let [low, high] = [Infinity, -Infinity]
  for (let i = axis; i < places.length; i += 2) {
    low = Math.min(low, places[i] ?? 0)
    high = Math.max(high, places[i] ?? 0)
  }
  return { low, high }
}
