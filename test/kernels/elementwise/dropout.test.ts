import * as assert from 'uvu/assert'
import type { Tensor } from '../../../kernels/op.ts'
import { dropout } from '../../../kernels/elementwise/dropout.ts'
import { threefry2x32, uniform01 } from '../../../kernels/wgsl/threefry.ts'
import { Sgd } from '../../../engine/optim/optimizer.ts'
import { simclr } from '../../../methods/simclr.ts'
import type { Model } from '../../../models/model.ts'
import { parametersOf } from '../../../models/parts.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'
import { network } from '../../fixtures/small-network.ts'

const test = gpuSuite('dropout')

/** Which of `count` elements stay, from the TypeScript twin of the generator. */
function stay(
  count: number,
  p: number,
  [seed, stream, step]: readonly [number, number, number],
): boolean[] {
  const key = threefry2x32([seed, stream], [step, 0])
  return Array.from({ length: count }, (_, i) => uniform01(threefry2x32(key, [i, 0])[0]) >= p)
}

test('drops what the generator says, and scales the rest', async ({ gpu }) => {
  for (const [p, seed, stream, step] of [
    [0.1, 7, 0, 3],
    [0.5, 0xffffffff, 2, 0],
    [0.9, 1, 0, 1],
  ] as const) {
    const kept = stay(131, p, [seed, stream, step])
    const reference = (x: number[]) => x.map((v, i) => (kept[i] ? v / (1 - p) : 0))
    await checkOp(gpu, (x) => dropout(x, p, { seed, stream, step }), reference, [[131]])
  }
})

test('another step, stream or seed drops others; the same drops the same', async ({ gpu }) => {
  const x = gpu.tensor(new Float32Array(200).fill(1), [200])
  const pattern = async (options: { seed: number; step: number; stream?: number }) =>
    (await gpu.read(dropout(x, 0.5, options))).join()
  const first = await pattern({ seed: 1, step: 1 })
  assert.is(await pattern({ seed: 1, step: 1 }), first)
  for (const other of [
    { seed: 2, step: 1 },
    { seed: 1, step: 2 },
    { seed: 1, step: 1, stream: 1 },
  ])
    assert.is.not(await pattern(other), first)
})

test('keeps the share it should', async ({ gpu }) => {
  const x = gpu.tensor(new Float32Array(20000).fill(1), [20000])
  const kept =
    (await gpu.read(dropout(x, 0.3, { seed: 5, step: 0 }))).filter((v) => v > 0).length / 20000
  assert.ok(Math.abs(kept - 0.7) < 4 * Math.sqrt((0.3 * 0.7) / 20000), `kept ${kept}`) // four standard deviations
})

test('returns x itself in evaluation and for p = 0, zeros for p = 1', async ({ gpu }) => {
  const x: Tensor = gpu.tensor(random(5), [5])
  assert.is(dropout(x, 0.5, { seed: 1, step: 1, training: false }), x)
  assert.is(dropout(x, 0, { seed: 1, step: 1 }), x)
  assert.ok((await gpu.read(dropout(x, 1, { seed: 1, step: 1 }))).every((v) => v === 0))
  assert.throws(
    () => dropout(x, 1.5, { seed: 1, step: 1 }),
    (e: Error) => e.message === 'dropout: p must lie in [0, 1], got 1.5',
  )
})

const twice =
  'dropout: a dropout with seed 1, step 2 and stream 0 was made in this step already, so both would drop the same elements; give each layer and view a stream of its own, such as { stream: layers * mode.pass + layer }'

test('refuses one mask for two layers of a step', async ({ gpu }) => {
  const x = gpu.variable(random(8), [8])
  const two = (stream: number) => () => {
    const first = dropout(x, 0.5, { seed: 1, step: 2 })
    return dropout(first, 0.5, { seed: 1, step: () => 2, stream })
  }
  refuses(() => gpu.step(two(0)), twice)
  refuses(() => gpu.capture(two(0)).run(), twice)
  refuses(() => gpu.backward(two(0)()), twice) // outside of steps, where it is trained on
  gpu.step(two(1))
  const captured = gpu.capture(two(1))
  for (let i = 0; i < 4; i++) captured.run()
  assert.is(captured.reason, null)
  gpu.backward(two(1)())
})

test('the same mask may be made again off the tape, in another step, and on the way back', async ({
  gpu,
}) => {
  const x = gpu.variable(random(8), [8])
  const once = () => dropout(x, 0.5, { seed: 1, step: 2 })
  gpu.step(() => {
    gpu.noGrad(once)
    const y = once()
    gpu.backward(y)
    gpu.backward(y)
  })
  gpu.step(once)
  gpu.backward(once())
  gpu.backward(once())
})

for (const chunk of [null, 2])
  test(`a method tells its encoder which pass it is${chunk ? ', in chunks' : ''}`, async ({
    gpu,
  }) => {
    const { encoder, head } = network(gpu, false)
    const passes: (number | undefined)[] = []
    const seen: Model = {
      ...encoder,
      forward(x, mode) {
        passes.push(mode.pass)
        return dropout(encoder.forward(x, mode), 0.5, { seed: 0, step: 0, stream: mode.pass ?? 0 })
      },
    }
    const optimizer = new Sgd(parametersOf({ encoder, head }))
    const { step } = simclr(gpu, {
      ...{ encoder: seen, head, optimizer, schedule: 0.1, temperature: 0.5, batchNorm: 'per-view' },
      ...{ views: {}, capture: false, chunk },
    })
    step(gpu.tensor(new Uint8Array(4 * 48), [4, 4, 4, 3]))
    assert.equal(passes, chunk ? [0, 2, 1, 3, 0, 2, 1, 3] : [0, 1])
  })

test.run()
