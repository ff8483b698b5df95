// Any WebGPU: devices with default limits and no optional feature, in Dawn and in wgpu, whose
// compiler (naga) is Firefox's too. Deno brings wgpu: `npm ci --prefix test/wgpu` installs it.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { quickAndFull } from '../fixtures/full.ts'
import type { Story } from './story.ts'

const [test, full] = quickAndFull(suite('any WebGPU'))

const deno = 'test/wgpu/node_modules/.bin/deno'
const isInstalled = existsSync(deno)
const STORY = '.test/test/wgpu/story.js'

/** Registers a test that needs Deno. Without it the test says so and is skipped, but not in CI. */
const onWgpu: typeof full = (name, body) => {
  if (isInstalled || process.env['CI'] === 'true') return full(name, body)
  console.log(`skipped: ${name}: Deno is not installed; npm ci --prefix test/wgpu`)
  return test.skip(name)
}

type Program = 'node' | 'deno'
type Part = 'ops' | 'methods'

/** Runs a part of the story and resolves to what it tells. */
async function told(program: Program, part: Part): Promise<Story> {
  const begin = program === 'node' ? [] : ['run', '--allow-all', '--unstable-webgpu']
  const command = program === 'node' ? process.execPath : deno
  const child = spawn(command, [...begin, STORY, part], { stdio: ['ignore', 'pipe', 'pipe'] })
  const [out, said, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, 'close') as Promise<[number | null]>,
  ])
  assert.is(status, 0, said)
  const story = JSON.parse(out.trim().split('\n').at(-1) ?? '') as Story
  assert.equal(story.features, [])
  assert.is(story.workgroupBytes, 16384)
  return story
}

/** Both parts, one after the other: the driver keeps the kernels of the first for the second. */
function begun(program: Program): Readonly<Record<Part, Promise<Story>>> {
  const ops = told(program, 'ops')
  const methods = ops.then(() => told(program, 'methods'))
  for (const story of [ops, methods]) story.catch(() => undefined) // the tests await them
  return { ops, methods }
}

const stories = new Map<Program, ReturnType<typeof begun>>()

/** Begins the stories of Dawn and of wgpu side by side, and returns one of them. */
function storyOf(program: Program, part: Part): Promise<Story> {
  for (const each of isInstalled ? (['node', 'deno'] as const) : (['node'] as const))
    if (!stories.has(each)) stories.set(each, begun(each))
  const story = stories.get(program)
  if (!story) throw new Error('Deno is not installed; npm ci --prefix test/wgpu')
  return story[part]
}

function isRight({ cases = 0, wrong }: Story) {
  assert.equal(wrong, [])
  assert.ok(cases > 90, `${cases} cases`)
}

full(
  'every op and loss equals float64 on a device with default limits and no feature',
  async () => {
    isRight(await storyOf('node', 'ops'))
  },
)

onWgpu('every op and loss equals float64 on wgpu', async () => {
  isRight(await storyOf('deno', 'ops'))
})

onWgpu('each method trains on wgpu, with the first ten losses of Dawn', async () => {
  const { losses: expected = {} } = await storyOf('node', 'methods')
  const { losses: found = {} } = await storyOf('deno', 'methods')
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
