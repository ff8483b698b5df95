// Tests the training loop when the machine fails.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DeviceLostError } from '../../engine/errors.ts'
import { openGpu } from '../../engine/node.ts'
import { configOf } from '../../training/config.ts'
import type { KnnProbe } from '../../training/knn.ts'
import type { Progress } from '../../training/progress.ts'
import { createRun, resumeRun } from '../../run-folder/open.ts'
import { prepare } from '../../training/prepare.ts'
import { Training } from '../../training/training.ts'
import { procedural } from '../../data/procedural.ts'

const test = suite<{ dir: string }>('a training')
test.before((context) => {
  context.dir = mkdtempSync(join(tmpdir(), 'kindred-training-'))
})
test.after((context) => rmSync(context.dir, { recursive: true, force: true }))

const config = configOf(
  'simclr',
  {
    data: 'procedural:48,20',
    preset: 'simclr-demo',
    model: 'resnet8',
    stem: 'imagenet',
    width: 2,
    batch: 16,
    epochs: 3,
  },
  true,
)
const data = procedural({ train: 48, test: 20 })
const quiet: Progress = { start() {}, update() {}, note() {}, stop() {} }

test('keeps its last checkpoint when the device is lost, and goes on from there', async ({
  dir,
}) => {
  const [whole, lost] = [join(dir, 'whole'), join(dir, 'lost')]
  const gpu = await openGpu()
  const run = await createRun(whole, { ...config })
  const prepared = await prepare(gpu, config, data)
  await new Training(prepared, run, quiet, { requested: false }).finish()
  assert.is(prepared.trainer.captured.replays, 7) // of 9 steps
  const expected = await run.metrics()
  await run.close()
  gpu.destroy()

  const doomed = await openGpu()
  const unlucky = await createRun(lost, { ...config })
  const losing: Progress = {
    ...quiet,
    update: (step) => void (step === 5 && doomed.device.destroy()),
  }
  try {
    await new Training(await prepare(doomed, config, data), unlucky, losing, {
      requested: false,
    }).finish()
    assert.unreachable('the device was lost')
  } catch (error) {
    assert.instance(error, DeviceLostError)
  }
  const { checkpoint, damaged } = await unlucky.latest()
  assert.is(checkpoint?.step, 3)
  assert.equal(damaged, [])
  await unlucky.close()

  const fresh = await openGpu()
  const again = await resumeRun(lost)
  const outcome = await new Training(await prepare(fresh, config, data), again, quiet, {
    requested: false,
  }).finish()
  assert.ok(outcome.finished)
  assert.equal(await again.metrics(), expected)
  await again.close()
  fresh.destroy()
})

test('stops at a loss that is no number, with the last good state on disk', async ({ dir }) => {
  const gpu = await openGpu()
  const wild = { ...config, schedule: { name: 'constant', lr: 1e30, warmupEpochs: 0 } } as const
  const run = await createRun(join(dir, 'wild'), { ...wild })
  try {
    await new Training(await prepare(gpu, wild, data), run, quiet, { requested: false }).finish()
    assert.unreachable('the loss was not finite')
  } catch (error) {
    const { message } = error as Error // what finish throws
    assert.match(
      message,
      /^the loss became (NaN|-?Infinity) at step \d+; the weights of step 0 are finite, in .*step-00000000\.safetensors; go on from there at a lower rate: train\(gpu, data, .*, with schedule\.lr 1e\+29 in its config\.json$/,
    )
  }
  assert.is((await run.latest()).checkpoint?.step, 0)
  await run.close()
  gpu.destroy()
})

test('keeps an epoch whose measurement fails, and measures it when it goes on', async ({ dir }) => {
  const gpu = await openGpu()
  const run = await createRun(join(dir, 'unmeasured'), { ...config })
  const prepared = await prepare(gpu, config, data)
  let measured = 0
  const probe = {
    ofPixels: () => Promise.resolve(10),
    ofProbes: () =>
      measured++ === 0
        ? Promise.resolve({ knn: 11, probe: 12 })
        : Promise.reject(new Error('no room')),
  } as unknown as KnnProbe // as much of one as a training asks
  const failed = await new Training({ ...prepared, probe }, run, quiet, { requested: false })
    .finish()
    .then(
      () => 'was not refused',
      (error: Error) => error.message,
    )
  assert.is(failed, 'no room')
  assert.is((await run.latest()).checkpoint?.step, 3)
  const again = await prepare(gpu, config, data)
  await new Training(again, run, quiet, { requested: false }).finish()
  const knn = (await run.metrics()).filter((metric) => metric.knn !== undefined)
  assert.equal(
    knn.map(({ step, epoch }) => [step, epoch]),
    [
      [3, 1],
      [6, 2],
      [9, 3],
    ],
  )
  await run.close()
  gpu.destroy()
})

test.run()
