// Time and memory against size, both axes logarithmic, as SVG. Drawn by Apache ECharts, which
// renders SVG in Node without a DOM, has logarithmic axes, and comes in three packages.

const MIB = 2 ** 20
const small = { fontSize: 13, fontWeight: 'normal' }

/** The plot as an SVG text. `floor(size)` is the bytes of inputs and outputs. Rejects when echarts
 *  is not installed. */
export async function plot(rows, { title, axis, floor }) {
  const echarts = await import('echarts')
  const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width: 1200, height: 560 })
  const measured = rows.filter((row) => !row.error)
  const names = [...new Set(measured.map((row) => row.contestant))]
  const sizes = [...new Set(measured.map((row) => row.size))].sort((a, b) => a - b)
  const least = 'inputs + outputs'
  const [left, right] = [
    { left: '6%', width: '41%', top: 70, bottom: 110 },
    { left: '55%', width: '41%', top: 70, bottom: 110 },
  ]
  chart.setOption({
    animation: false,
    backgroundColor: '#fff',
    color: [
      '#d62728',
      '#1f77b4',
      '#2ca02c',
      '#9467bd',
      '#ff7f0e',
      '#8c564b',
      '#17becf',
      '#e377c2',
      '#bcbd22',
    ],
    title: [
      { text: title, left: 'center', top: 6, textStyle: { fontSize: 16 } },
      {
        text: `forward + backward, ${measured[0]?.basis} ms`,
        left: left.left,
        top: 38,
        textStyle: small,
      },
      { text: 'GPU memory at its peak, MiB', left: right.left, top: 38, textStyle: small },
    ],
    legend: { bottom: 8, itemGap: 28, data: [...names, least] },
    grid: [left, right],
    xAxis: [0, 1].map((gridIndex) => sizeAxis(gridIndex, axis, sizes)),
    yAxis: [0, 1].map((gridIndex) => ({ gridIndex, type: 'log', axisLabel: { formatter: plain } })),
    series: [
      ...names.flatMap((name, i) => seriesOf(name, i, measured)),
      ...(sizes.length > 0 ? [floorSeries(least, sizes, floor)] : []),
    ],
  })
  const svg = chart.renderToSVGString()
  chart.dispose()
  return svg
}

function seriesOf(name, index, rows) {
  const own = rows.filter((row) => row.contestant === name)
  const line = (panel, data) => ({
    ...{ type: 'line', name, data, xAxisIndex: panel, yAxisIndex: panel },
    ...{ symbol: 'circle', symbolSize: 7, colorBy: 'series' },
  })
  return [
    line(
      0,
      own.map(({ size, both }) => [size, both.time.median]),
    ),
    ranges(
      name,
      own.map(({ size, both }) => [size, both.time.min, both.time.max]),
    ),
    line(
      1,
      own.filter(({ both }) => both.peak).map(({ size, both }) => [size, both.peak / MIB]),
    ),
  ].map((series) => ({ ...series, z: 100 - index }))
}

/** A thin upright line from the least to the greatest time. */
const ranges = (name, data) => ({
  ...{ type: 'custom', name, data, xAxisIndex: 0, yAxisIndex: 0, encode: { x: 0, y: [1, 2] } },
  renderItem(_, api) {
    const [x, y1] = api.coord([api.value(0), api.value(1)])
    const [, y2] = api.coord([api.value(0), api.value(2)])
    return {
      type: 'line',
      shape: { x1: x, y1, x2: x, y2 },
      style: { stroke: api.visual('color'), lineWidth: 1.5 },
    }
  },
})

const floorSeries = (name, sizes, floor) => ({
  ...{ type: 'line', name, xAxisIndex: 1, yAxisIndex: 1, symbol: 'none', color: '#999' },
  lineStyle: { type: 'dashed', color: '#999' },
  data: sizes.map((size) => [size, floor(size) / MIB]),
})

const sizeAxis = (gridIndex, name, sizes) => ({
  ...{ gridIndex, type: 'log', logBase: 2, name, nameLocation: 'middle', nameGap: 30 },
  ...{
    min: sizes[0],
    max: sizes.at(-1),
    axisLabel: { formatter: (size) => String(Math.round(size)) },
  },
})

const plain = (value) =>
  value >= 1e6 ? value.toExponential(0) : String(Number(value.toPrecision(3)))
