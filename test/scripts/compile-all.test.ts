// Every pipeline compiles: by Tint (Dawn, Chromium), to SPIR-V that is valid, and by naga (wgpu,
// Firefox). naga once ended the process over a workgroup array of an unnamed size.

import { spawnSync } from 'node:child_process'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { quickAndFull } from '../fixtures/full.ts'

const [test, full] = quickAndFull(suite('npm run compile-all'))

function compileAll(...args: string[]) {
  const { stdout, stderr, status } = spawnSync(
    process.execPath,
    ['scripts/compile-all.js', ...args],
    { encoding: 'utf8', maxBuffer: 1 << 28 },
  )
  return { stdout, stderr, status }
}

/** What one compiler made of the pipelines. */
interface Compiled {
  readonly missing?: string
  readonly compiled: number
  readonly refused: readonly object[]
  readonly left: number
}

full('no pipeline of any op, loss or method is refused by a compiler that is here', () => {
  const { stdout, stderr } = compileAll('--json')
  assert.ok(stdout.startsWith('{'), stderr)
  const told = JSON.parse(stdout) as { pipelines: number; results: Record<string, Compiled> }
  const { pipelines, results } = told
  assert.ok(pipelines > 1400, `${pipelines} pipelines`)
  assert.equal(Object.keys(results), ['tint', 'spirv', 'naga'])
  const least: Readonly<Record<string, number>> = { tint: 750, spirv: 750, naga: 500 }
  for (const [name, { missing, compiled, refused, left }] of Object.entries(results)) {
    if (missing !== undefined) {
      assert.is.not(process.env['CI'], 'true', missing)
      console.log(`skipped: ${name}: ${missing}`)
      continue
    }
    assert.equal(refused, [], name)
    assert.is(compiled + left, pipelines, name)
    assert.ok(compiled >= (least[name] ?? 0), `${name}: ${compiled}`)
  }
})

test('what it cannot do is said with exit code 2', () => {
  const { status, stderr } = compileAll('--kinds', 'gpu,gpus')
  assert.is(status, 2)
  assert.match(stderr, /^compile-all: --kinds must be of device, .*, got 'gpus'\n/)
  assert.is(compileAll('--compiler', 'tint').status, 2)
})

test.run()
