// bench/scale.js: exponents of growth beside those of the mathematics.

import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const test = suite<{ dir: string }>('scale')
test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-scale-'))
})
test.after(({ dir }) => rmSync(dir, { recursive: true }))

const node = (...args: string[]) => spawnSync(process.execPath, args, { encoding: 'utf8' })

test('an exponent is that of the power it is fitted to', () => {
  const program = `
    const { exponent, lastExponent } = await import('./bench/scale/fit.js')
    const sizes = [2, 4, 8, 16]
    console.log(exponent(sizes, sizes.map((n) => 3 * n ** 2)), exponent(sizes, [5, 5, 5, 5]),
      lastExponent(sizes, [9, 9, 8, 16]))`
  const { stdout, stderr } = node('--input-type=module', '--eval', program)
  assert.equal(
    stdout
      .trim()
      .split(' ')
      .map((text) => Number(Number(text).toFixed(6))),
    [2, 0, 1],
    stderr,
  )
})

test('a loss and a step grow no faster than their mathematics, on a page of their own', ({
  dir,
}) => {
  const only = ['--only', 'InfoNCE,MoCo', '--points', '3', '--runs', '1', '--out', dir]
  const { stdout, stderr } = node('bench/scale.js', '--json', ...only)
  const { series } = JSON.parse(stdout) as {
    series: {
      name: string
      points: object[]
      fits: Record<string, { above: boolean; last: number }>
    }[]
  }
  assert.equal(
    series.map(({ name }) => name),
    ['InfoNCE', 'a MoCo step'],
  )
  for (const { name, points, fits } of series) {
    assert.is(points.length, 3)
    for (const what of ['memory', 'flops', 'moved'])
      assert.not.ok(fits[what]?.above, `${name}: ${what} ${fits[what]?.last}, ${stderr}`)
  }
  assert.ok(Math.abs((series[0]?.fits['flops']?.last ?? 0) - 1) < 0.01)
  const html = readFileSync(join(dir, 'scale.html'), 'utf8')
  assert.match(html, /"logarithmicY":true,"curves":\[\{"label":"time, e = /)
  assert.match(html, /at most 1\)/)
  assert.not.match(html, /(src|href)="(?!#)/)
})

test.run()
