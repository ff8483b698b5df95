// Tests report.html, made of the files of a run folder: what it holds, and that names stay text.

import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Chart } from '../../../cli/report/chart.ts'
import type { FeatureMap, Measured } from '../../../cli/report/measured.ts'
import { writeReport } from '../../../cli/report/write.ts'
import { collapseWarning } from '../../../training/sphere.ts'
import type { Metric } from '../../../training/metrics.ts'
import { createRun } from '../../../run-folder/open.ts'

const test = suite<{ dir: string }>('report')
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-'))
})
test.after.each(({ dir }) => rmSync(dir, { recursive: true }))

const HOSTILE = `<img src=x onerror=alert(1)></script>"'&`
const ESCAPED = '&lt;img src=x onerror=alert(1)&gt;&lt;/script&gt;&quot;&#39;&amp;'

const training = (steps: number): Metric[] => [
  { step: 0, epoch: 0, untrained: 21, pixels: 18.5, spread: 0.2, alignment: 0.1, uniformity: -1 },
  ...Array.from({ length: steps }, (_, i) => ({
    step: i + 1,
    epoch: (i + 1) / 10,
    loss: 5 - i / steps,
    lr: 0.1,
  })),
  { step: 10, epoch: 1, knn: 30, spread: 0.4, alignment: 0.2, uniformity: -2 },
  { step: 20, epoch: 2, knn: 28.25, spread: 0.5, alignment: 0.3, uniformity: -2.5 },
]

const PIXEL = 'data:image/png;base64,iVBORw0KGgo='

/** What is measured of `size` images of two classes with hostile names. */
function measuredOf(size: number, { step = 20, labelled = true } = {}): Measured {
  const labels = Array.from({ length: size }, (_, i) => (labelled ? i % 2 : -1))
  const image = { picture: PIXEL, label: labelled ? 1 : -1 }
  const counts = { k: 5, bank: 10, queries: size, accuracy: 0.75, balancedAccuracy: 0.7 }
  return {
    ...{ version: 1, step, points: 2000, classes: labelled ? [HOSTILE, 'dog'] : [] },
    views: [{ image: PIXEL, one: PIXEL, two: PIXEL }],
    map: {
      ...{ of: 'test', from: size, size, labels, predictions: labelled ? labels : [] },
      files: labels.map((_, i) => `${HOSTILE}/${i}.png`),
      thumbnails: { picture: PIXEL, side: 8, columns: 2 },
      layouts: [{ name: 'PCA', about: 'two', points: labels.flatMap((_, i) => [i, 65_535 - i]) }],
    },
    neighbours: [{ query: image, before: [image], after: [image] }],
    report: labelled ? { ...counts, top5: null, confusion: [3, 1, 0, 4] } : null,
    rank: { effectiveRank: 3.25, rankMe: 3.5, features: 8 },
  }
}

/** Writes a run's report and returns the page. */
async function reportOf(
  dir: string,
  config: Record<string, unknown>,
  metrics: readonly Metric[],
  { measured, timings = '' }: { measured?: unknown; timings?: string } = {},
) {
  const run = await createRun(join(dir, 'a'), config)
  for (const metric of metrics) run.append(metric)
  await run.close()
  if (measured !== undefined) writeFileSync(run.path('report.json'), JSON.stringify(measured))
  if (timings !== '') writeFileSync(run.path('timings.jsonl'), timings)
  const path = await writeReport(join(dir, 'a'))
  assert.is(path, join(dir, 'a', 'report.html'))
  return squeezed(readFileSync(path, 'utf8'))
}

/** A page without the spaces between its elements. */
const squeezed = (html: string) => html.replaceAll(/>\s+/g, '>').replaceAll(/\s+</g, '<')

const scriptsOf = (html: string) =>
  [...html.matchAll(/<script>(.*?)<\/script>/gs)].map(([, code = '']) => code)

interface Drawn {
  readonly charts: readonly Chart[]
  readonly map: (FeatureMap & { readonly classes: readonly string[] }) | null
}

/** What the page's script draws. */
function drawn(html: string): Drawn {
  const [, text = ''] =
    /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(html) ?? []
  const data = JSON.parse(text) as Drawn
  for (const { x, curves } of data.charts) for (const { y } of curves) assert.is(y.length, x.length)
  return data
}

test('draws loss, accuracy, how features lie, learning rate and speed', async ({ dir }) => {
  const timings = ['{"step":5,"rate":90}', '{"step":9,"rate":70}', '{"step":8,"rate":80}', 'x']
  const config = { method: 'simclr', epochs: 2 }
  const html = await reportOf(dir, config, training(20), { timings: timings.join('\n') })
  const { charts } = drawn(html)
  assert.equal(
    charts.map(({ title }) => title),
    [
      ...['Loss', 'kNN accuracy, %', 'Collapse meter', 'Alignment', 'Uniformity'],
      ...['Learning rate', 'Images per second'],
    ],
  )
  const [loss, knn, spread] = charts
  assert.is(loss?.x.length, 20)
  assert.equal(
    [knn?.x, ...(knn?.curves.map(({ y }) => y) ?? [])],
    [
      [0, 1, 2],
      [21, 30, 28.25],
      [21, 21, 21],
      [18.5, 18.5, 18.5],
    ],
  )
  assert.equal(spread?.curves[0]?.y, [0.2, 0.4, 0.5])
  const speed = charts.at(-1)
  assert.equal(
    [speed?.x, speed?.curves[0]?.y],
    [
      [5, 8],
      [90, 80],
    ],
  ) // step 9 was made again
  assert.match(html, /epoch 2 of 2</)
})

test('needs nothing from outside, and runs only its own script and style', async ({ dir }) => {
  const html = await reportOf(dir, {}, training(20), { measured: measuredOf(4) })
  assert.not.match(html, /<(?:link|iframe|object|embed)|\ssrc="(?!data:image)|@import|url\(/)
  assert.not.match(html, /\s(?:style|on\w+)="/)
  const [script = '', ...others] = scriptsOf(html)
  assert.equal(others, [])
  const [, style = ''] = /<style>(.*?)<\/style>/s.exec(html) ?? []
  const hashOf = (text: string) => createHash('sha256').update(text).digest('base64')
  assert.ok(html.includes(`script-src &#39;sha256-${hashOf(script)}&#39;`))
  assert.ok(html.includes(`style-src &#39;sha256-${hashOf(style)}&#39;`))
  assert.ok(html.length < 150_000, `${html.length} characters`)
})

test('tells the figures and the settings, those that differ from the preset first', async ({
  dir,
}) => {
  const about = { node: 'v1', changes: { 'knn.k': { from: 200, to: 20 } } }
  const config = { preset: 'p', knn: { k: 20, bank: null }, sizes: [1, 2], about }
  const html = await reportOf(dir, config, training(20), { measured: measuredOf(4) })
  const figure = (name: string, value: string) =>
    assert.ok(html.includes(`<dt>${name}</dt><dd>${value}</dd>`), `${name}: ${value}`)
  figure('last loss', '4.0500')
  figure('steps done', '20')
  figure('kNN accuracy', '28.3%')
  figure('balanced accuracy', '70.0%')
  figure('spread of features', '0.500')
  figure('effective rank', '3.3')
  assert.ok(html.includes('best 30.0%, untrained 21.0%, raw pixels 18.5%'))
  assert.ok(html.includes('<tr><th scope="row">knn.k</th><td>200</td><td>20</td></tr>'))
  for (const [name, value] of [
    ['knn.k', '20'],
    ['knn.bank', 'null'],
    ['sizes', '[1,2]'],
    ['node', 'v1'],
  ])
    assert.ok(html.includes(`<tr><th scope="row">${name}</th><td>${value}</td></tr>`), name)
})

test('shows names of classes, files and settings as text', async ({ dir }) => {
  const html = await reportOf(
    dir,
    { data: HOSTILE },
    [...training(20), { step: 20, note: HOSTILE }],
    {
      measured: measuredOf(4),
    },
  )
  assert.not.match(html, /<img src=x/)
  assert.is(html.split('</script>').length, 3) // the data's and the script's own
  for (const place of [
    `<td>${ESCAPED}</td>`,
    `<th scope="row">${ESCAPED}</th>`,
    `<th scope="col">${ESCAPED}</th>`,
  ])
    assert.ok(html.includes(place), place)
  const { map } = drawn(html)
  assert.is(map?.classes[0], HOSTILE)
  assert.is(map?.files[1], `${HOSTILE}/1.png`)
})

test('of a run that has just begun says so', async ({ dir }) => {
  const html = await reportOf(dir, { method: 'simclr' }, [])
  assert.match(html, /Nothing has been measured yet/)
  assert.equal(drawn(html), { charts: [], map: null, isLive: false })
})

test('warns of collapse, and of pictures of another step', async ({ dir }) => {
  const html = await reportOf(dir, {}, [...training(20), { step: 30, epoch: 3, spread: 0.01 }], {
    measured: measuredOf(4, { step: 20 }),
  })
  assert.ok(html.includes(`role="alert">${collapseWarning(0.01)}`))
  assert.match(html, /The pictures are of step 20, the curves go to step 30; measure again with: /)
})

test('takes a map without labels, and one of a single class', async ({ dir }) => {
  const html = await reportOf(dir, {}, training(20), {
    measured: measuredOf(3, { labelled: false }),
  })
  assert.equal(drawn(html).map?.labels, [-1, -1, -1])
  assert.not.match(html, /id="classes"/)
})

test('passes over a report.json that is damaged or does not fit itself', async ({ dir }) => {
  const good = measuredOf(4)
  const bad = [
    '{',
    { ...good, version: 0 },
    { ...good, classes: ['one'] },
    { ...good, map: { ...good.map, size: 5 } },
    { ...good, views: [{ image: 'javascript:alert(1)', one: PIXEL, two: PIXEL }] },
  ]
  for (const [i, measured] of bad.entries()) {
    const html = await reportOf(join(dir, String(i)), {}, training(20), { measured })
    assert.is(drawn(html).map, null)
    assert.match(html, /Only the curves so far/)
  }
})

test('keeps a long run light, and its last step', async ({ dir }) => {
  const { charts } = drawn(await reportOf(dir, {}, training(10_001)))
  const [loss] = charts
  assert.ok(loss && loss.x.length <= 2000 && loss.x.length > 1500, `${loss?.x.length} points`)
  assert.is(loss?.x.at(-1), 10_001)
  assert.ok((loss?.x ?? []).every((x, i, all) => i === 0 || x > (all[i - 1] ?? x)))
})

test('of a folder that is no run is refused', async ({ dir }) => {
  const error = await writeReport(dir).catch((e: unknown) => e)
  assert.match(String(error), /is not a run folder/)
})

test.run()
