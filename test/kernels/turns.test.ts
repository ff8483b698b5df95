// Long work leaves the event loop its turns.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { procedural } from '../../data/procedural.ts'
import { takingTurns } from '../../kernels/turns.ts'

const test = suite('taking turns')

/** Counts the turns of the event loop until `work` is done. */
async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let [turns, isDone] = [0, false]
  const count = () => {
    turns++
    if (!isDone) setImmediate(count)
  }
  setImmediate(count)
  await work
  isDone = true
  return turns
}

test('others have a turn once the time is over, and none before', async () => {
  const every = takingTurns(0)
  const work = async () => {
    for (let i = 0; i < 20; i++) await every()
  }
  assert.ok((await turnsDuring(work())) >= 10)
  const never = takingTurns(Infinity)
  const short = async () => {
    for (let i = 0; i < 20; i++) await never()
  }
  assert.is(await turnsDuring(short()), 0)
})

test("a browser's own scheduler is asked where there is one", async () => {
  let asked = 0
  const scheduler = { yield: () => Promise.resolve(void asked++) }
  Object.assign(globalThis, { scheduler })
  try {
    const rest = takingTurns(0)
    await rest()
    await rest()
  } finally {
    Reflect.deleteProperty(globalThis, 'scheduler')
  }
  assert.is(asked, 2)
})

test('procedural images are drawn in turns, the same ones', async () => {
  const draw = async (count: number) => {
    const { train } = procedural({ size: 32, train: 60, test: 1 })
    const out = new Uint8Array(60 * 3072)
    for (let i = 0; i < 60; i += count)
      await train.read(
        Uint32Array.from({ length: count }, (_, n) => i + n),
        out.subarray(i * 3072, (i + count) * 3072),
      )
    return out
  }
  const one = draw(60)
  assert.ok((await turnsDuring(one)) > 0, 'drawing 60 images left no turn')
  assert.equal(await one, await draw(1))
})

test.run()
