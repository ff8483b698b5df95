// Tests kindred compare RUN...: runs side by side.

import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { compareRuns } from '../../../cli/compare-runs.ts'
import type { Chart } from '../../../cli/report/chart.ts'
import { accuracyOf, differencesOf, groupsOf, namesOf } from '../../../cli/report/compared.ts'
import { createRun } from '../../../run-folder/open.ts'
import { kindred } from '../../fixtures/cli.ts'

const test = suite<{ dir: string }>('compare')
test.before.each((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-'))
})
test.after.each(({ dir }) => rmSync(dir, { recursive: true }))

const run = (name: string, lr: number, seed: number, knn?: number) => ({
  name,
  config: { seed, schedule: { lr }, about: { node: name } },
  metrics: [{ step: 1, loss: lr }, ...(knn === undefined ? [] : [{ step: 2, epoch: 1, knn }])],
  timings: [],
})

test('groups runs that differ in the seed alone, with mean and deviation', () => {
  const runs = [run('a', 0.1, 0, 50), run('b', 0.2, 0, 40), run('c', 0.1, 1, 53), run('d', 0.3, 0)]
  assert.equal(differencesOf(runs), [
    { path: 'seed', values: ['0', '0', '1', '0'] },
    { path: 'schedule.lr', values: ['0.1', '0.2', '0.1', '0.3'] },
  ])
  const groups = groupsOf(runs)
  assert.equal(
    groups.map(({ settings, runs: names }) => [settings, names]),
    [
      ['schedule.lr 0.1', ['a', 'c']],
      ['schedule.lr 0.2', ['b']],
      ['schedule.lr 0.3', ['d']],
    ],
  )
  assert.equal(groups.map(accuracyOf), [
    '51.5% \u00b1 2.1 over 2 runs', // sqrt((1.5 ** 2 + 1.5 ** 2) / 1)
    '40.0% over 1 run',
    'not measured',
  ])
})

test('names runs by the ends of their paths, or by the paths where these are equal', () => {
  assert.equal(namesOf(['x/a', 'x/b/']), ['a', 'b'])
  assert.equal(namesOf(['x/a', 'y/a', 'y/b']), ['x/a', 'y/a', 'b'])
})

test('draws the curves over each other, and keeps names text', async ({ dir }) => {
  const names = ['one', '<img src=x onerror=alert(1)>']
  for (const [i, name] of names.entries()) {
    const folder = await createRun(join(dir, name), { method: 'simclr', seed: i })
    for (const step of [1, 2 + i]) folder.append({ step, loss: 5 - i, lr: 0.1 })
    await folder.close()
  }
  const print = console.log
  console.log = () => {}
  const code = await compareRuns(
    names.map((name) => join(dir, name)),
    {},
  ).finally(() => (console.log = print))
  assert.is(code, 0)
  const html = readFileSync(join(dir, 'compare.html'), 'utf8')
  assert.not.match(html, /<img/)
  const [, text = ''] = /id="data">(.*?)<\/script>/s.exec(html) ?? []
  const { charts } = JSON.parse(text) as { charts: readonly Chart[] }
  assert.equal(
    charts.map(({ title, x }) => [title, x]),
    [
      ['Loss', [1, 2, 3]],
      ['Learning rate', [1, 2, 3]],
    ],
  )
  assert.equal(
    charts[0]?.curves.map(({ label, y }) => [label, y]),
    [
      ['one', [5, 5, null]],
      [names[1], [4, null, 4]],
    ],
  )
})

test('refuses a single run, what is none, and options of training', async ({ dir }) => {
  const one = await kindred('compare', dir)
  assert.match(one.err, /compare: needs two run folders or more, got one: /)
  assert.is(one.code, 2)
  const none = await kindred('compare', dir, dir)
  assert.match(none.err, /is not a run folder: it has no config\.json/)
  const other = await kindred('compare', dir, dir, '--epochs', '3')
  assert.match(other.err, /compare: --epochs is for training anew; leave it out, or leave out the/)
})

test.run()
