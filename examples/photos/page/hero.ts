// The picture of the first screen: patterns that find together, which is what a training does. They
// are drawn here, from the built-in set; by its file, so that the page loads no other of the
// library.

import { procedural } from '../../../data/procedural.ts'
import { placesOfHero } from './hero-places.ts'

const [COUNT, SIDE] = [110, 40]
const SECONDS = 3.2

/** Draws the picture, and lets it move once. */
export async function showHero(canvas: HTMLCanvasElement) {
  const tiles = await tilesOf()
  const { from, to } = placesOfHero(COUNT)
  const began = performance.now()
  const isStill = matchMedia('(prefers-reduced-motion: reduce)').matches
  let t = isStill ? 1 : 0
  const paint = () => {
    const context = canvas.getContext('2d')
    const { clientWidth: width, clientHeight: height } = canvas
    if (!context || width === 0) return
    canvas.width = width * devicePixelRatio
    canvas.height = height * devicePixelRatio
    context.scale(devicePixelRatio, devicePixelRatio)
    const size = Math.max(22, Math.min(SIDE, width / 15))
    const eased = t < 0.5 ? 4 * t ** 3 : 1 - (2 - 2 * t) ** 3 / 2
    for (const [i, tile] of tiles.entries()) {
      const at = (axis: number) => {
        const [a, b] = [from[2 * i + axis] ?? 0, to[2 * i + axis] ?? 0]
        return a + (b - a) * eased
      }
      context.drawImage(tile, at(0) * (width - size), at(1) * (height - size), size, size)
    }
  }
  const move = () => {
    t = Math.min(1, (performance.now() - began) / (SECONDS * 1000))
    paint()
    if (t < 1) requestAnimationFrame(move)
  }
  if (isStill) paint()
  else requestAnimationFrame(move)
  new ResizeObserver(paint).observe(canvas)
}

async function tilesOf(): Promise<HTMLCanvasElement[]> {
  const { train } = procedural({ size: SIDE, train: COUNT, test: 1, seed: 7 })
  const tiles: HTMLCanvasElement[] = []
  const rgb = new Uint8Array(SIDE * SIDE * 3)
  for (let i = 0; i < COUNT; i++) {
    await train.read([i], rgb)
    const tile = document.createElement('canvas')
    tile.width = tile.height = SIDE
    const pixels = new ImageData(SIDE, SIDE)
    for (let p = 0; p < SIDE * SIDE; p++) {
      for (let c = 0; c < 3; c++) pixels.data[4 * p + c] = rgb[3 * p + c] ?? 0
      pixels.data[4 * p + 3] = 255
    }
    tile.getContext('2d')?.putImageData(pixels, 0, 0)
    tiles.push(tile)
    if (i % 10 === 9) await new Promise((resolve) => requestAnimationFrame(resolve))
  }
  return tiles
}
