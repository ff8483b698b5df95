// Draws features on a plane: a point for each image, coloured by class, with its picture under the
// pointer, at a tap and at the arrow keys.

import { type MapData, colourOf } from './data.ts'
import { classColour } from './class-colours.ts'
import { makeElement, toggle } from './elements.ts'
import { makeTip } from './tip.ts'

const EDGE = 12 // pixels around the points
const NEAR = 24 // pixels from the pointer to a point, at most

interface View {
  layout: number
  /** The only class in colour; null for all. */
  only: number | null
  /** The chosen point. */
  at: number | null
}

/** Fills the place for the map, and returns the function that draws it again. */
export function drawMap(map: MapData | null): () => void {
  const place = document.getElementById('map-place')
  if (!map || !place || map.layouts.length === 0) return () => {}
  const view: View = { layout: 0, only: null, at: null }
  const canvas = makeElement('canvas', { class: 'points', tabindex: '0', role: 'img' })
  const about = makeElement('p', { class: 'about' })
  const tip = makeTip(map)
  const draw = () => {
    const { name, about: words } = map.layouts[view.layout] ?? { name: '', about: '' }
    about.textContent = words
    canvas.setAttribute(
      'aria-label',
      `${name} of ${map.size} ${map.of} images. Arrow keys go from image to image.`,
    )
    paint(canvas, map, view)
  }
  const choose = (at: number | null) => {
    view.at = at
    draw()
    const [x, y] = at === null ? [0, 0] : placesOn(canvas, map, view)(at)
    tip.show(at, x, y + canvas.offsetTop, place)
  }
  const controls = makeElement('div', { class: 'controls', role: 'group', 'aria-label': 'Layout' })
  for (const [i, { name }] of map.layouts.entries())
    controls.append(
      toggle(name, null, controls, i === 0, () => {
        view.layout = i
        choose(null)
      }),
    )
  place.append(controls, about, canvas, legend(map, view, draw), tip.element)
  listen(canvas, map, view, choose)
  return draw
}

/** Makes a button for each class, which shows that class alone. */
function legend(map: MapData, view: View, draw: () => void): HTMLElement {
  const list = makeElement('div', {
    class: 'controls legend',
    role: 'group',
    'aria-label': 'Classes',
  })
  const present = [...new Set(map.labels)].filter((label) => label >= 0).sort((a, b) => a - b)
  for (const label of present)
    list.append(
      toggle(
        map.classes[label] ?? '',
        classColour(label, present.length),
        null,
        false,
        (on, own) => {
          for (const other of list.querySelectorAll('button'))
            if (other !== own) other.setAttribute('aria-pressed', 'false')
          view.only = on ? label : null
          draw()
        },
      ),
    )
  return list
}

function listen(
  canvas: HTMLCanvasElement,
  map: MapData,
  view: View,
  choose: (at: number | null) => void,
) {
  const pointed = (event: PointerEvent) => {
    const box = canvas.getBoundingClientRect()
    const found = nearestTo(canvas, map, view, event.clientX - box.left, event.clientY - box.top)
    if (found !== view.at) choose(found)
  }
  canvas.addEventListener('pointermove', pointed)
  canvas.addEventListener('pointerdown', pointed)
  canvas.addEventListener('pointerleave', (event) => {
    if (event.pointerType === 'mouse') choose(null)
  })
  canvas.addEventListener('keydown', (event) => {
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[
      event.key
    ]
    if (event.key === 'Escape') choose(null)
    if (!way) return
    event.preventDefault()
    choose(nextFrom(map, view, way[0] ?? 0, way[1] ?? 0))
  })
}

type Place = (i: number) => readonly [x: number, y: number]

/** Returns the function from points to pixels of the canvas on the screen. The points fill its
 *  width or its height. */
function placesOn(canvas: HTMLCanvasElement, map: MapData, { layout }: View): Place {
  const points = map.layouts[layout]?.points ?? []
  const bounds = [0, 1].map((axis) => {
    let [low, high] = [Infinity, -Infinity]
    for (let i = axis; i < points.length; i += 2) {
      low = Math.min(low, points[i] ?? 0)
      high = Math.max(high, points[i] ?? 0)
    }
    return { middle: (low + high) / 2, size: Math.max(1, high - low) }
  })
  const [across, up] = [bounds[0] ?? { middle: 0, size: 1 }, bounds[1] ?? { middle: 0, size: 1 }]
  const [width, height] = [canvas.clientWidth, canvas.clientHeight]
  const scale = Math.min((width - 2 * EDGE) / across.size, (height - 2 * EDGE) / up.size)
  return (i) => [
    width / 2 + scale * ((points[2 * i] ?? 0) - across.middle),
    height / 2 - scale * ((points[2 * i + 1] ?? 0) - up.middle),
  ]
}

const isShown = (map: MapData, { only }: View, i: number) => only === null || map.labels[i] === only

function nearestTo(canvas: HTMLCanvasElement, map: MapData, view: View, x: number, y: number) {
  const placeOf = placesOn(canvas, map, view)
  let [best, least]: [number | null, number] = [null, NEAR ** 2]
  for (let i = 0; i < map.size; i++) {
    if (!isShown(map, view, i)) continue
    const [px, py] = placeOf(i)
    const far = (px - x) ** 2 + (py - y) ** 2
    if (far < least) [best, least] = [i, far]
  }
  return best
}

/** Returns the nearest point in a direction: within 45 degrees of it. */
function nextFrom(map: MapData, view: View, dx: number, dy: number): number | null {
  const points = map.layouts[view.layout]?.points ?? []
  if (view.at === null) return map.labels.findIndex((_, i) => isShown(map, view, i))
  const [x0 = 0, y0 = 0] = points.slice(2 * view.at, 2 * view.at + 2)
  let [best, least] = [view.at, Infinity]
  for (let i = 0; i < map.size; i++) {
    const [x, y] = [(points[2 * i] ?? 0) - x0, y0 - (points[2 * i + 1] ?? 0)]
    const along = x * dx + y * dy
    const aside = Math.abs(x * dy - y * dx)
    if (along <= 0 || aside > along || !isShown(map, view, i)) continue
    const far = along + 2 * aside
    if (far < least) [best, least] = [i, far]
  }
  return best
}

/** Draws all points: one path for each class, faint ones first. */
function paint(canvas: HTMLCanvasElement, map: MapData, view: View) {
  const width = canvas.clientWidth
  const height = Math.round(Math.min(640, Math.max(280, width * 0.62)))
  const scale = devicePixelRatio
  canvas.width = width * scale
  canvas.height = height * scale
  canvas.style.height = `${height}px`
  const context = canvas.getContext('2d')
  if (!context) return
  context.scale(scale, scale)
  const placeOf = placesOn(canvas, map, view)
  const wide = Math.sqrt(Math.min(1, width / 900)) // smaller points on a narrow screen
  const radius = wide * (map.size > 20_000 ? 1 : map.size > 4000 ? 1.8 : map.size > 800 ? 2.6 : 3.5)
  const count = new Set(map.labels.filter((label) => label >= 0)).size
  const groups = Map.groupBy(map.labels.keys(), (i) => map.labels[i] ?? -1)
  const faint = (label: number) => view.only !== null && view.only !== label
  const order = [...groups].sort(([a], [b]) => Number(faint(b)) - Number(faint(a)))
  for (const [label, members] of order) {
    context.globalAlpha = faint(label) ? 0.35 : 0.85
    context.fillStyle = faint(label) ? colourOf('grid') : classColour(label, count)
    context.beginPath()
    for (const i of members) {
      const [x, y] = placeOf(i)
      if (radius < 2) context.rect(x - radius, y - radius, 2 * radius, 2 * radius)
      else {
        context.moveTo(x + radius, y)
        context.arc(x, y, radius, 0, 2 * Math.PI)
      }
    }
    context.fill()
  }
  if (view.at === null) return
  const [x, y] = placeOf(view.at)
  context.globalAlpha = 1
  context.strokeStyle = colourOf('text')
  context.lineWidth = 2
  context.beginPath()
  context.arc(x, y, radius + 4, 0, 2 * Math.PI)
  context.stroke()
}
