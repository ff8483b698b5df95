// The picture and the words beside the chosen point of a map.

import type { MapData } from './data.ts'
import { makeElement } from './elements.ts'

const SIDE = 80 // pixels of the picture
const GAP = 14 // pixels from the point

/** A box that follows the chosen point. */
export interface Tip {
  readonly element: HTMLElement
  /** Shows the image `at` beside (x, y) and within the place, or nothing for null. */
  show(at: number | null, x: number, y: number, place: HTMLElement): void
}

/** Makes the box for the images of a map. */
export function makeTip(map: MapData): Tip {
  const box = makeElement('div', { class: 'tip', role: 'status' })
  const canvas = makeElement('canvas')
  const words = makeElement('div')
  box.append(canvas, words)
  box.hidden = true
  const sheet = new Image()
  sheet.src = map.thumbnails.picture
  const drawThumb = (at: number) => {
    const { side, columns } = map.thumbnails
    canvas.width = canvas.height = SIDE * devicePixelRatio
    const context = canvas.getContext('2d')
    if (!context || !sheet.complete) return
    context.imageSmoothingEnabled = false
    const [column, row] = [at % columns, Math.floor(at / columns)]
    const from = [column * side, row * side, side, side] as const
    context.drawImage(sheet, ...from, 0, 0, canvas.width, canvas.height)
  }
  const show = (at: number | null, x: number, y: number, place: HTMLElement) => {
    box.hidden = at === null
    if (at === null) return
    if (sheet.complete) drawThumb(at)
    else sheet.addEventListener('load', () => drawThumb(at), { once: true })
    words.replaceChildren(...linesOf(map, at).map(paragraph))
    const beside = (to: number, own: number, most: number) =>
      Math.max(0, to + GAP + own > most ? to - own - GAP : to + GAP)
    box.style.left = `${beside(x, box.offsetWidth, place.clientWidth)}px`
    box.style.top = `${beside(y, box.offsetHeight, place.clientHeight)}px`
  }
  return { element: box, show }
}

function linesOf({ labels, predictions, files, classes }: MapData, at: number): string[] {
  const name = (label: number | undefined) => classes[label ?? -1]
  const [own, found, file] = [name(labels[at]), name(predictions[at]), files[at]]
  return [
    own ?? 'no label',
    ...(found === undefined ? [] : [found === own ? 'kNN agrees' : `kNN says ${found}`]),
    ...(file === undefined ? [] : [file]),
  ]
}

function paragraph(text: string): HTMLElement {
  const line = makeElement('div')
  line.textContent = text
  return line
}
