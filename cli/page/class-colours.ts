// Colours of classes, legible on light and on dark.

import { colourOf } from './data.ts'

const TEN = [
  ...['#4e79d6', '#e8833a', '#3fa66b', '#d9534f', '#8e6fc9'],
  ...['#a0705c', '#d97bb6', '#7f8894', '#b3a32e', '#2fb0c0'],
]
const GOLDEN = 137.508 // degrees between the hues of further classes

/** Returns the colour of a class among `count`; that of faint text for images without a label. */
export function classColour(label: number, count: number): string {
  if (label < 0) return colourOf('strong')
  if (count <= TEN.length) return TEN[label % TEN.length] ?? ''
  const light = 48 + 8 * (label % 3)
  return `hsl(${((label * GOLDEN) % 360).toFixed(0)} 62% ${light}%)`
}
