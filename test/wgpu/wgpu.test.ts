// Any WebGPU: devices with default limits and no optional feature, in Dawn and in wgpu, whose compiler
// (naga) is Firefox's too. Deno brings wgpu: `npm ci --prefix test/wgpu` installs it.

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { quickAndFull } from '../fixtures/full.ts'
import type { Story } from './story.ts'

const [test, full] = quickAndFull(suite('any WebGPU'))

const deno = 'test/wgpu/node_modules/.bin/deno'
const STORY = '.test/test/wgpu/story.js'

/** Registers a test that needs Deno. Without it the test says so and is skipped, but not in CI. */
const onWgpu: typeof full = (name, body) => {
  if (existsSync(deno) || process.env['CI'] === 'true') return full(name, body)
  console.log(`skipped: ${name}: Deno is not installed; npm ci --prefix test/wgpu`)
  return test.skip(name)
}

/** Runs the story's part and returns what it tells. */
function told(program: 'node' | 'deno', part: 'ops' | 'methods'): Story {
  const [command, begin] =
    program === 'node'
      ? [process.execPath, []]
      : [deno, ['run', '--allow-all', '--unstable-webgpu']]
  const { stdout, stderr, status } = spawnSync(command, [...begin, STORY, part], {
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  assert.is(status, 0, stderr)
  const story = JSON.parse(stdout.trim().split('\n').at(-1) ?? '') as Story
  assert.equal(story.features, [])
  assert.is(story.workgroupBytes, 16384)
  return story
}

function isRight({ cases = 0, wrong }: Story) {
  assert.equal(wrong, [])
  assert.ok(cases > 90, `${cases} cases`)
}

full('every op and loss equals float64 on a device with default limits and no feature', () => {
  isRight(told('node', 'ops'))
})

onWgpu('every op and loss equals float64 on wgpu', () => {
  isRight(told('deno', 'ops'))
})

onWgpu('each method trains on wgpu, with the first ten losses of Dawn', () => {
  const { losses: expected = {} } = told('node', 'methods')
  const { losses: found = {} } = told('deno', 'methods')
  assert.ok(Object.keys(expected).length >= 9)
  assert.equal(Object.keys(found), Object.keys(expected))
  for (const [name, own] of Object.entries(expected)) {
    assert.is(own.length, 10)
    for (const [t, loss] of own.entries()) {
      const apart = Math.abs((found[name]?.[t] ?? NaN) - loss)
      assert.ok(apart <= 1e-4, `${name}, step ${t}: ${found[name]?.[t]} on wgpu, ${loss} on Dawn`)
    }
  }
})

test.run()
