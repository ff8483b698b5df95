// Runs in the page: draws its charts and its map, again when colours change, and follows a page that
// is served.

import { drawCharts } from './charts.ts'
import { drawMap } from './map.ts'
import { type Data, dataOf } from './data.ts'
import { follow } from './follow.ts'

let data = dataOf(document)
let redrawMap = () => {}

function draw() {
  drawCharts(data.charts)
  redrawMap()
}

function begin() {
  redrawMap = drawMap(data.map)
  draw()
}

begin()
const setPrinting = (on: boolean) => {
  document.documentElement.classList.toggle('printing', on)
  draw()
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
addEventListener('beforeprint', () => setPrinting(true))
addEventListener('afterprint', () => setPrinting(false))
if (data.isLive)
  follow((next: Data) => {
    data = next
    drawCharts(data.charts)
  })
