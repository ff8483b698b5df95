// Tests that a profile has every dispatch with its time, or counts where there are no timestamps.

import * as assert from 'uvu/assert'
import { inspect } from 'node:util'
import { relu } from '../../../kernels/elementwise/relu.ts'
import { linear } from '../../../kernels/matmul/linear.ts'
import type { Tensor } from '../../../kernels/op.ts'
import { sum } from '../../../kernels/reduce/sum.ts'
import { profile } from '../../../engine/debug/profile.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { instanceFor, openGpu } from '../../../engine/node.ts'
import { Sgd } from '../../../engine/optim/optimizer.ts'
import { Builder } from '../../../models/builder.ts'
import { random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses, refusesAsync } from '../../fixtures/refusal.ts'

const test = gpuSuite('profile')

/** A captured step of a layer. */
function training(gpu: Gpu) {
  const w = gpu.variable(random(64 * 64, 1), [64, 64])
  const optimizer = new Sgd({ w })
  const captured = gpu.capture((x: Tensor) => {
    const loss = sum(relu(linear(x, w)))
    optimizer.step(gpu.backward(loss), () => 0.1)
    return loss
  })
  const step = () => captured.run({ values: random(64 * 64, 2), shape: [64, 64] })
  return { step, captured, optimizer }
}

test('a replayed step has the time of each of its kernels', async ({ gpu: { device } }) => {
  const gpu = new Gpu(device)
  const { step, captured, optimizer } = training(gpu)
  for (let i = 0; i < 3; i++) await gpu.read(step())
  const before = gpu.stats().dispatches
  const loss = await profile(gpu, step, { runs: 2 })
  assert.equal([captured.replays, optimizer.t, loss.runs], [4, 6, 2]) // untimed once, timed twice
  assert.is(3 * loss.dispatches.length, gpu.stats().dispatches - before)
  assert.is(loss.isTimed, true)
  assert.is(
    loss.rows.reduce((all, { dispatches }) => all + dispatches, 0),
    loss.dispatches.length,
  )
  const share = loss.rows.reduce((all, row) => all + row.share, 0)
  assert.ok(Math.abs(share - 1) < 1e-9, `${share}`)
  const ms = loss.rows.map((row) => row.ms ?? NaN)
  assert.equal(
    ms,
    [...ms].sort((a, b) => b - a),
  )
  gpu.destroy()
})

test('its trace file has a complete event for every dispatch, in order', async () => {
  const gpu = await openGpu({ toggles: ['-timestamp_quantization'] })
  const { step } = training(gpu)
  const found = await profile(gpu, async () => void (await gpu.read(step())), { runs: 1 })
  assert.ok((found.resolution ?? Infinity) < 10_000, `${found.resolution}`)
  const { traceEvents } = JSON.parse(found.chromeTrace()) as {
    readonly traceEvents: readonly { name: string; ph: string; ts: number; dur: number }[]
  }
  const events = traceEvents.filter(({ ph }) => ph === 'X')
  assert.equal(
    events.map(({ name }) => name),
    found.dispatches.map(({ kernel }) => kernel),
  )
  assert.is(events[0]?.ts, 0)
  for (const [i, { ts, dur }] of events.entries()) {
    assert.ok(dur > 0, `dispatch ${i} lasted ${dur}`)
    const next = events[i + 1]?.ts ?? Infinity
    assert.ok(
      ts + dur <= next + 1e-6,
      `dispatch ${i} ends at ${ts + dur}, the next begins at ${next}`,
    )
  }
  assert.match(inspect(found), /^kernel +dispatches +ms +share\n/)
  gpu.destroy()
})

test('times are added up by layer, of replays too, with the update beside them', async ({
  gpu,
}) => {
  const build = new Builder(gpu, 1)
  const layers = [build.linear('net.0', [8, 8]), build.linear('net.2', [8, 8])]
  const optimizer = new Sgd(build.parameters)
  const captured = gpu.capture((x: Tensor) => {
    const y = layers.reduce((h, layer) => relu(layer(h, { training: true })), x)
    const loss = sum(y)
    const of = Object.values(build.parameters)
    optimizer.step(gpu.backward(loss, undefined, { of }), () => 0.1)
    return loss
  })
  const step = () => captured.run({ values: random(64, 2), shape: [8, 8] })
  for (let i = 0; i < 3; i++) await gpu.read(step())
  const found = await profile(gpu, step, { runs: 1, layers: true })
  assert.equal([captured.replays, optimizer.t], [3, 5]) // and the trace is taken back
  const counts = Object.fromEntries((found.layers ?? []).map((row) => [row.layer, row.dispatches]))
  // forward and the gradients of w and b; of the second layer that of x too
  assert.equal(counts, { 'net.0': 3, 'net.2': 4, relu: 4, sum: 2, collect: 1, sgd: 1 })
  const sums = (
    pick: (row: { readonly ms: number | null }) => number | null,
    of: readonly { readonly ms: number | null }[],
  ) => of.reduce((all, row) => all + (pick(row) ?? NaN), 0)
  const [byLayer, byKernel] = [found.layers ?? [], found.rows].map((of) => sums(({ ms }) => ms, of))
  assert.ok(Math.abs((byLayer ?? 0) - (byKernel ?? 0)) < 1e-9, `${byLayer} ${byKernel}`)
  for (const { forward, backward, ms, layer } of found.layers ?? [])
    if (layer.startsWith('net'))
      assert.ok(Math.abs((forward ?? 0) + (backward ?? 0) - (ms ?? 0)) < 1e-9)
  assert.match(String(found), /^layer +dispatches +forward +backward +ms +share\n/)
  const { traceEvents } = JSON.parse(found.chromeTrace()) as {
    readonly traceEvents: readonly { readonly args: object }[]
  }
  assert.equal(traceEvents.at(-1)?.args, { dispatch: 14, op: 'sgd', pass: 'update', layer: null })
})

test('a body that differs from run to run has no layers', async ({ gpu }) => {
  let calls = 0
  const x = gpu.tensor([1, 2])
  await refusesAsync(
    () => profile(gpu, () => (calls++ < 2 ? relu(x) : sum(x)), { runs: 1, layers: true }),
    'profile: the body ran other kernels when it was traced (1) than when it was timed (1); let it do the same each time, or leave layers out',
  )
})

test('without timestamps it counts, and says so', async () => {
  const { create } = await import('webgpu')
  const adapter = await instanceFor(create, []).requestAdapter()
  const device = await adapter?.requestDevice()
  if (!device) throw new Error('no adapter')
  const gpu = new Gpu(device, { ownsDevice: true })
  const x = gpu.tensor([1, 2])
  const found = await profile(gpu, () => relu(sum(relu(x))), { runs: 1 })
  assert.is(
    String(found),
    `kernel       dispatches    share
reluForward           2   66.7 %
sumStage              1   33.3 %
all                   3  100.0 %
counts alone: this device has no timestamp-query`,
  )
  assert.equal(found.dispatches[0], {
    kernel: 'reluForward',
    start: null,
    duration: null,
    ms: null,
    origin: null,
  })
  refuses(
    () => found.chromeTrace(),
    'Profile.chromeTrace: there are no times; the device has no timestamp-query',
  )
  gpu.destroy()
})

test('a body that throws ends the profile, and one cannot run in another', async ({ gpu }) => {
  const failing = () => {
    throw new Error('as it happens')
  }
  await refusesAsync(() => profile(gpu, failing), 'as it happens')
  let calls = 0
  const second = () => (calls++ > 0 ? failing() : undefined)
  await refusesAsync(() => profile(gpu, second), 'as it happens')
  await refusesAsync(
    () => profile(gpu, () => (calls++ > 2 ? profile(gpu, () => {}) : null)),
    'profile: it cannot run in the body of another',
  )
  const refused: Promise<unknown>[] = []
  gpu.step(() => void refused.push(profile(gpu, () => {})))
  await refusesAsync(async () => refused[0], 'profile: it cannot run inside a step')
  assert.is((await profile(gpu, () => {})).dispatches.length, 0)
})

test.run()
