// The model of a step's cost: what it counts does not depend on the kernels that are chosen.

import { spawnSync } from 'node:child_process'
import { test } from 'uvu'
import * as assert from 'uvu/assert'

/** What a module prints as JSON, of one step of a method as three kinds of device would get it. */
function estimates(method: string, size = 16) {
  const program = `
    const { estimateOf, scheduleOf, withFloors } = await import('./bench/step-roofline.js')
    const settings = { model: 'resnet8', stem: 'cifar', width: 8, batch: 4, size: ${size},
      chunk: null, replay: true, stream: false, activations: 'f32' }
    const rates = { fma: 1000, matrices: 8000, copy: 100, launch: 2 }
    const found = []
    for (const [kind, precision] of [['device', 'f32'], ['gpu', 'f32'], ['matrices', 'f16']]) {
      const schedule = await scheduleOf(kind, '${method}', { ...settings, precision })
      found.push(estimateOf(withFloors(schedule, rates, precision)))
    }
    console.log(JSON.stringify(found))`
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--input-type=module', '--eval', program],
    { encoding: 'utf8' },
  )
  assert.match(stdout, /^\[/, stderr)
  return JSON.parse(stdout) as { flops: number; bytes: number; commands: number; ms: number }[]
}

/** FLOPs of ResNet-8 of width 8 on 4 images of 16 x 16, forward and both gradients. (The images of
 *  this step are a variable, so that the stem computes their gradient too.) */
function supervisedFlops() {
  const conv = (side: number, k: number, C: number, K: number) =>
    3 * 2 * 4 * side * side * k * k * C * K
  const stage = (side: number, C: number, K: number) =>
    conv(side, 3, C, K) + conv(side, 3, K, K) + (C === K ? 0 : conv(side, 1, C, K))
  const classifier = 2 * 4 * 32 * 10 * 3
  return conv(16, 3, 3, 8) + stage(16, 8, 8) + stage(8, 8, 16) + stage(4, 16, 32) + classifier
}

test('a supervised step has the FLOPs of its layers, by the kernels of any device', () => {
  for (const { flops } of estimates('supervised')) assert.is(flops, supervisedFlops())
})

for (const method of ['simclr', 'moco', 'amdim'])
  test(`a step of ${method} has the same FLOPs by the kernels of any device`, () => {
    const [first, ...others] = estimates(method, method === 'amdim' ? 32 : 16)
    for (const { flops, bytes, ms } of others) {
      assert.is(flops, first?.flops)
      assert.ok(bytes > 0.7 * (first?.bytes ?? 0) && bytes < 1.5 * (first?.bytes ?? 0), `${bytes}`)
      assert.ok(ms > bytes / 100e6 && ms < 100, `${ms} ms`)
    }
  })

test.run()
