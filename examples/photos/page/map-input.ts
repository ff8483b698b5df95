// Pointer, wheel and keys on the map.

import type { PictureMap } from './map.ts'

const STILL = 5 // pixels that a click may move

/** Calls `choose` with the picture that the user points at or goes to; null lets go. */
export function listenTo(
  canvas: HTMLCanvasElement,
  map: PictureMap,
  choose: (i: number | null) => void,
) {
  let chosen: number | null = null
  const pick = (i: number | null) => {
    chosen = i
    choose(i)
  }
  listenToPointers(canvas, map, pick)
  canvas.addEventListener(
    'wheel',
    (event) => {
      const isZoom = event.ctrlKey || map.camera.zoom > 1 || document.activeElement === canvas
      if (!isZoom) return // the page scrolls
      event.preventDefault()
      map.camera.zoomBy(Math.exp(-event.deltaY / 400), [event.offsetX, event.offsetY])
      map.redraw()
    },
    { passive: false },
  )
  canvas.addEventListener('keydown', (event) => {
    const way = ways[event.key]
    if (way) pick(nextFrom(map, chosen, way))
    else if (event.key === 'Escape') pick(null)
    else if (event.key === '+' || event.key === '=') zoom(map, 1.4)
    else if (event.key === '-') zoom(map, 1 / 1.4)
    else if (event.key === '0') zoom(map, 0)
    else return
    event.preventDefault()
  })
  return (i: number | null) => {
    chosen = i
  }
}

/** Zooms around the middle; 0 shows all. */
export function zoom(map: PictureMap, factor: number) {
  if (factor === 0) map.camera.reset()
  else map.camera.zoomBy(factor, [map.camera.width / 2, map.camera.height / 2])
  map.redraw()
}

const ways: Readonly<Record<string, readonly [dx: number, dy: number]>> = {
  ArrowLeft: [-1, 0],
  ArrowRight: [1, 0],
  ArrowUp: [0, -1],
  ArrowDown: [0, 1],
}

/** The nearest picture in a direction: within 45 degrees of it. */
function nextFrom(
  { places }: PictureMap,
  from: number | null,
  [dx, dy]: readonly [number, number],
): number | null {
  const count = places.length / 2
  if (from === null) return count > 0 ? 0 : null
  let [best, least] = [from, Infinity]
  for (let i = 0; i < count; i++) {
    const x = (places[2 * i] ?? 0) - (places[2 * from] ?? 0)
    const y = (places[2 * i + 1] ?? 0) - (places[2 * from + 1] ?? 0)
    const along = x * dx + y * dy
    const aside = Math.abs(x * dy - y * dx)
    if (along <= 0 || aside > along) continue
    const far = along + 2 * aside
    if (far < least) [best, least] = [i, far]
  }
  return best
}

/** Drags move the map, two fingers zoom it, a click chooses. */
function listenToPointers(
  canvas: HTMLCanvasElement,
  map: PictureMap,
  pick: (i: number | null) => void,
) {
  const down = new Map<number, readonly [x: number, y: number]>()
  let moved = 0
  canvas.addEventListener('pointerdown', (event) => {
    if (down.size === 0) moved = 0
    down.set(event.pointerId, [event.offsetX, event.offsetY])
    canvas.setPointerCapture(event.pointerId)
  })
  canvas.addEventListener('pointermove', (event) => {
    const last = down.get(event.pointerId)
    if (!last) return
    const now = [event.offsetX, event.offsetY] as const
    const [other] = [...down].filter(([id]) => id !== event.pointerId).map(([, at]) => at)
    if (other) map.camera.zoomBy(distance(now, other) / Math.max(1, distance(last, other)), other)
    else map.camera.panBy(now[0] - last[0], now[1] - last[1])
    moved += distance(now, last)
    down.set(event.pointerId, now)
    map.redraw()
  })
  const up = (event: PointerEvent) => {
    if (!down.delete(event.pointerId)) return
    if (event.type === 'pointerup' && moved < STILL) pick(map.at(event.offsetX, event.offsetY))
  }
  canvas.addEventListener('pointerup', up)
  canvas.addEventListener('pointercancel', up)
}

const distance = ([a, b]: readonly [number, number], [c, d]: readonly [number, number]) =>
  Math.hypot(a - c, b - d)
