import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { runInNewContext } from 'node:vm'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Chart } from '../../cli/report-page.ts'
import { writeReport } from '../../cli/report.ts'
import type { Metric } from '../../training/metrics.ts'
import { createRun } from '../../run-folder/open.ts'

const test = suite<{ dir: string }>('report')
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-'))
})
test.after.each(({ dir }) => rmSync(dir, { recursive: true }))

const training = (steps: number): Metric[] => [
  { step: 0, epoch: 0, untrained: 21, pixels: 18.5 },
  ...Array.from({ length: steps }, (_, i) => ({
    step: i + 1,
    epoch: (i + 1) / 10,
    loss: 5 - i / steps,
    lr: 0.1,
  })),
  { step: 10, epoch: 1, knn: 30 },
  { step: 20, epoch: 2, knn: 28.25 },
]

/** Writes a run's report and returns the page. */
async function reportOf(dir: string, config: Record<string, unknown>, metrics: readonly Metric[]) {
  const run = await createRun(join(dir, 'a'), config)
  for (const metric of metrics) run.append(metric)
  await run.close()
  const path = await writeReport(join(dir, 'a'))
  assert.is(path, join(dir, 'a', 'report.html'))
  return readFileSync(path, 'utf8')
}

const scriptsOf = (html: string) =>
  [...html.matchAll(/<script>(.*?)<\/script>/gs)].map(([, code = '']) => code)

interface Axis {
  readonly values: (plot: unknown, values: readonly (number | null)[]) => string[]
}

interface Plot {
  readonly options: { readonly series: unknown[]; readonly axes: readonly Axis[] }
  readonly data: unknown[][]
}

/** Runs the page's scripts before a document that only counts, and returns what uPlot was asked to
 *  draw. */
function drawn(html: string): {
  charts: Chart[]
  plots: Plot[]
} {
  const [library = '', own = ''] = scriptsOf(html)
  assert.match(library, /uPlot/)
  runInNewContext(`new Function(${JSON.stringify(library)})`) // it parses, whole
  const plots: Plot[] = []
  const place = { clientWidth: 800, append() {}, querySelectorAll: () => [] }
  const charts = runInNewContext(`${own};charts`, {
    document: { getElementById: () => place, createElement: () => ({}), documentElement: {} },
    getComputedStyle: () => ({ getPropertyValue: () => ' #123456' }),
    matchMedia: () => ({ addEventListener() {} }),
    addEventListener() {},
    uPlot: function (options: Plot['options'], data: unknown[][]) {
      plots.push({ options, data })
    },
  }) as Chart[]
  return { charts: JSON.parse(JSON.stringify(charts)) as Chart[], plots } // out of the other realm
}

test('draws loss, learning rate and kNN accuracy', async ({ dir }) => {
  const html = await reportOf(dir, { method: 'simclr', knn: { k: 20 } }, training(20))
  const { charts, plots } = drawn(html)
  assert.equal(
    charts.map(({ title }) => title),
    ['Loss', 'Learning rate', 'kNN accuracy, %'],
  )
  for (const { options, data } of plots) {
    assert.is(options.series.length, data.length)
    for (const column of data) assert.is(column.length, data[0]?.length)
  }
  const [loss, , knn] = plots
  assert.equal(loss?.data[0]?.length, 20)
  assert.equal(JSON.parse(JSON.stringify(knn?.data)), [
    [0, 1, 2],
    [21, 30, 28.25],
    [21, 21, 21],
    [18.5, 18.5, 18.5],
  ])
})

test('labels the marks of an axis with the digits that tell them apart', async ({ dir }) => {
  const [plot] = drawn(await reportOf(dir, {}, training(20))).plots
  const labels = (values: readonly (number | null)[]) =>
    [0, 1].map((i) => [...(plot?.options.axes[i]?.values(null, values) ?? [])])
  const small = ['0.0005', '0.00052', '', '1e-7']
  assert.equal(labels([0.0005, 0.00052, null, 1e-7]), [small, small])
  assert.equal(labels([0.30000000000000004, 1_234_567]), [
    ['0.3', '1234567'],
    ['0.3', '1234567'],
  ])
})

test('needs nothing from outside', async ({ dir }) => {
  const html = await reportOf(dir, {}, training(20))
  assert.not.match(html, /<(link|img|iframe|script)\s[^>]*(src|href)=/)
  assert.not.match(html, /@import|url\(/)
  assert.ok(html.length < 200_000, `${html.length} characters`)
})

test('tells the figures and the configuration', async ({ dir }) => {
  const html = await reportOf(
    dir,
    { method: 'simclr', knn: { k: 20, bank: null }, sizes: [1, 2] },
    training(20),
  )
  const row = (name: string, value: string) =>
    assert.ok(html.includes(`<tr><th>${name}</th><td>${value}</td></tr>`), `${name}: ${value}`)
  row('last loss', '4.0500')
  row('steps done', '20')
  row('kNN accuracy, last', '28.3%')
  row('kNN accuracy, best', '30.0%')
  row('kNN accuracy, untrained encoder', '21.0%')
  row('kNN accuracy, raw pixels', '18.5%')
  row('knn.k', '20')
  row('knn.bank', 'null')
  row('sizes', '[1,2]')
})

test('shows text as text', async ({ dir }) => {
  const html = await reportOf(dir, { data: '</script><b>"&$&' }, [
    { step: 1, loss: 1, note: '</script>' },
  ])
  assert.ok(html.includes('<td>&lt;/script&gt;&lt;b&gt;&quot;&amp;$&amp;</td>'))
  assert.is(scriptsOf(html).length, 2)
  drawn(html)
})

test('of a run that has just begun says so', async ({ dir }) => {
  const html = await reportOf(dir, { method: 'simclr' }, [])
  assert.match(html, /Nothing has been measured yet/)
  assert.equal(drawn(html).plots, [])
})

test('keeps a long run light, and its last step', async ({ dir }) => {
  const { charts } = drawn(await reportOf(dir, {}, training(10_001)))
  const [loss] = charts
  assert.ok(loss && loss.x.length <= 4000 && loss.x.length > 3000, `${loss?.x.length} points`)
  assert.is(loss?.x.at(-1), 10_001)
  assert.ok((loss?.x ?? []).every((x, i, all) => i === 0 || x > (all[i - 1] ?? x)))
})

test('of a folder that is no run is refused', async ({ dir }) => {
  const error = await writeReport(dir).catch((e: unknown) => e)
  assert.match(String(error), /is not a run folder/)
})

test.run()
