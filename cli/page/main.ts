// Runs in the page: draws its charts and its map, again when colours change, and follows a page
// that is served.

import { drawCharts } from './charts.ts'
import { drawMap } from './map.ts'
import { dataOf } from './data.ts'
import { follow } from './follow.ts'

let data = dataOf(document)
let redrawMap = drawMap(data.map)

function draw() {
  drawCharts(data.charts)
  redrawMap()
}

draw()
const setPrinting = (on: boolean) => {
  document.documentElement.classList.toggle('printing', on)
  draw()
}
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw)
addEventListener('resize', () => redrawMap())
addEventListener('beforeprint', () => setPrinting(true))
addEventListener('afterprint', () => setPrinting(false))
if (data.isLive)
  follow(data, (next, hasOtherParts) => {
    data = next
    if (hasOtherParts) redrawMap = drawMap(data.map)
    drawCharts(data.charts)
    if (hasOtherParts) redrawMap()
  })
