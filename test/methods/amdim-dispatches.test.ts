// Counts what a captured step of AMDIM dispatches on a GPU, on a device that computes nothing.

import { test } from 'uvu'
import * as assert from 'uvu/assert'
import { Adam } from '../../engine/optim/optimizer.ts'
import { constant } from '../../engine/optim/schedule.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { amdim } from '../../methods/amdim.ts'
import { amdimEncoder } from '../../models/amdim-encoder.ts'
import { nullGpu } from '../fixtures/null-gpu.ts'

/** Dispatches of a replayed step of an encoder of this depth. */
async function dispatchesOf(gpu: Gpu, depth: number): Promise<number> {
  const encoder = amdimEncoder(gpu, { size: 32, width: 8, features: 64, depth })
  const { step, captured } = amdim(gpu, {
    encoder,
    optimizer: new Adam(encoder.parameters),
    schedule: constant(1e-3),
    views: { flip: 0.5 },
  })
  const batch = { pixels: new Uint8Array(4 * 32 * 32 * 3), shape: [4, 32, 32, 3] }
  let before = 0
  for (let s = 0; s < 4; s++) {
    before = gpu.stats().dispatches
    step(batch)
  }
  assert.is(captured.replays, 1, captured.reason ?? '')
  return gpu.stats().dispatches - before
}

test('a layer more takes seven dispatches in each block at most, and a step no more than it did', async () => {
  const host = await nullGpu()
  const gpu = new Gpu(host.device, { kernels: 'gpu' })
  const [one, two] = [await dispatchesOf(gpu, 1), await dispatchesOf(gpu, 2)]
  // two products and four gradients; one for the sums of both weights' parts
  assert.ok(two - one <= 4 * 7, `${one} and ${two} dispatches`)
  assert.ok(one <= 141 && two <= 168, `${one} and ${two} dispatches`)
  gpu.destroy()
  host.destroy()
})

test.run()
