// The page of kindred compare: one curve per mechanism over the number of negatives, on a logarithmic axis, drawn as SVG.

/** One trained run; null where it could not be trained or not be measured. */
export interface Point {
  readonly mechanism: string
  readonly negatives: number
  /** kNN top-1 in percent. */
  readonly knn: number | null
  readonly pixels: number | null
}

const [WIDTH, HEIGHT, MARGIN] = [640, 400, 48]
const colours = ['#1f77b4', '#2ca02c', '#d62728']

/** A whole HTML page, without a reference to anything outside it. `about` is told above the plot, and holds no markup. */
export function comparePage(points: readonly Point[], about: string): string {
  const mechanisms = [...new Set(points.map((p) => p.mechanism))]
  const at = scales(points)
  const curves = mechanisms.map((mechanism, i) => {
    const own = points.flatMap((p) =>
      p.mechanism === mechanism && p.knn !== null ? [{ x: at.x(p.negatives), y: at.y(p.knn), ...p }] : [],
    )
    const colour = colours[i % colours.length] ?? 'black'
    const dots = own.map(
      ({ x, y, knn, negatives }) =>
        `<circle cx="${x}" cy="${y}" r="4" fill="${colour}"><title>${mechanism}, ${negatives}: ${knn}%</title></circle>`,
    )
    const line = `<polyline fill="none" stroke="${colour}" points="${own.map(({ x, y }) => `${x},${y}`).join(' ')}"/>`
    const label = `<text x="${MARGIN + 12}" y="${MARGIN + 18 * i}" fill="${colour}">${mechanism}</text>`
    return line + dots.join('') + label
  })
  const negatives = [...new Set(points.map((p) => p.negatives))]
  const ticks = negatives.map(
    (K) => `<text x="${at.x(K)}" y="${HEIGHT - MARGIN + 20}" text-anchor="middle">${K}</text>`,
  )
  const levels = at.levels.map(
    (level) =>
      `<text x="${MARGIN - 8}" y="${at.y(level) + 4}" text-anchor="end">${level}%</text><line x1="${MARGIN}" x2="${WIDTH - 16}" y1="${at.y(level)}" y2="${at.y(level)}" stroke="#ddd"/>`,
  )
  return `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Three mechanisms: Kindred</title>
<style>body { font: 14px sans-serif; margin: 2em } text { font-size: 12px }</style></head>
<body>
<h1>kNN top-1 over the number of negatives</h1>
<p>${about.replaceAll('&', '&amp;').replaceAll('<', '&lt;')}</p>
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" role="img" aria-label="kNN top-1 over negatives">
${levels.join('')}${ticks.join('')}${curves.join('\n')}
<text x="${WIDTH / 2}" y="${HEIGHT - 8}" text-anchor="middle">negatives</text>
</svg>
</body>
</html>
`
}

/** Pixels of a number of negatives and of a percentage, and the percentages that are marked. */
function scales(points: readonly Point[]) {
  const logs = points.map((p) => Math.log2(p.negatives))
  const values = points.flatMap((p) => (p.knn === null ? [] : [p.knn]))
  const [left, right] = [Math.min(...logs), Math.max(...logs)]
  const low = 10 * Math.floor(Math.min(100, ...values) / 10)
  const high = Math.max(low + 10, 10 * Math.ceil(Math.max(0, ...values) / 10))
  const span = (value: number, from: number, to: number) => (to > from ? (value - from) / (to - from) : 0.5)
  return {
    x: (K: number) => MARGIN + 24 + span(Math.log2(K), left, right) * (WIDTH - 2 * MARGIN - 24),
    y: (knn: number) => HEIGHT - MARGIN - span(knn, low, high) * (HEIGHT - 2 * MARGIN),
    levels: Array.from({ length: (high - low) / 10 + 1 }, (_, i) => low + 10 * i),
  }
}
