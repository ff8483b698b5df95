// Tests what keeps a captured step from being replayed, and the reasons that it gives.

import * as assert from 'uvu/assert'
import type { Tensor } from '../../../kernels/op.ts'
import { add } from '../../../kernels/elementwise/add.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import { sum } from '../../../kernels/reduce/sum.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import type { Gradients } from '../../../engine/optim/gradients.ts'
import { Sgd } from '../../../engine/optim/optimizer.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('capture obstacles')

/** Runs a body six times, and returns the reason it gave for the last, and the results. */
async function sixTimes(gpu: Gpu, body: (x: Tensor, call: () => number) => Tensor) {
  let call = 0
  const captured = gpu.capture((x: Tensor) => body(x, () => call))
  const results = []
  const reasons = []
  for (call = 0; call < 6; call++) {
    results.push(...(await gpu.read(captured.run({ values: [call + 1], shape: [1] }))))
    reasons.push(captured.reason)
  }
  const { replays } = captured
  captured.release()
  return { results, reasons, replays }
}

test('a number that changes between steps keeps them from being replayed, and is named', async ({
  gpu,
}) => {
  const { results, reasons, replays } = await sixTimes(gpu, (x, call) => mul(x, call()))
  assert.equal(results, [0, 2, 6, 12, 20, 30])
  assert.is(replays, 0)
  assert.is(reasons[1], 'affine: scale was 0, now 1; give it as a function, () => value')
})

test('so does a tensor of values, a read, a write, another op, a tensor from outside', async ({
  gpu,
}) => {
  const w = gpu.variable([1], [1])
  const pool = Array.from({ length: 6 }, (_, i) => gpu.tensor([i], [1]))
  const cases: [(x: Tensor, call: () => number) => Tensor, number[], RegExp][] = [
    [
      (x, call) => add(x, gpu.tensor([call()], [1])),
      [1, 3, 5, 7, 9, 11],
      /^a tensor \[1\] was made of values in the step; pass it as an input$/,
    ],
    [
      (x) => (void gpu.read(x), add(x, 1)),
      [2, 3, 4, 5, 6, 7],
      /^gpu.read was called in the step; return the tensor and read it after$/,
    ],
    [
      (x, call) => (gpu.write(w, [call()]), add(x, w)),
      [1, 3, 5, 7, 9, 11],
      /^a variable was written from JavaScript in the step; do it between steps$/,
    ],
    [
      (x, call) => (call() % 2 ? add(x, x) : mul(x, x)),
      [1, 4, 9, 8, 25, 12],
      /^it ran (addImages|mul) where the step before ran (addImages|mul)$/,
    ],
    [
      (x, call) => add(x, pool[call()] ?? x),
      [1, 3, 5, 7, 9, 11],
      /^add(Images)?: binding 1 has a tensor from outside that is not the one of the step before; pass it as an input$/,
    ],
    [
      (x, call) => (call() % 2 ? add(add(x, x), x) : add(x, x)),
      [2, 6, 6, 12, 10, 18],
      /^it gave 1 commands where the step before gave 2$|^addImages: binding|^it ran addImages where the step before ran nothing$/,
    ],
  ]
  for (const [body, expected, words] of cases) {
    const { results, reasons, replays } = await sixTimes(gpu, body)
    assert.equal(results, expected, `${words}`)
    assert.is(replays, 0, `${words}`)
    assert.match(reasons[5] ?? '', words)
  }
})

test('a step that needs a value in its midst has it, and ends as it would have', async ({
  gpu,
}) => {
  const w = gpu.variable([3], [1])
  const optimizer = new Sgd({ w })
  const run = async (replay: boolean) => {
    gpu.write(w, [3])
    const read: Promise<Float32Array>[] = []
    const captured = gpu.capture(
      (x: Tensor) => {
        const loss = sum(mul(mul(w, x), add(x, 1))) // what backward is done with is reclaimed before the read
        const gradients = gpu.backward(loss)
        read.push(gpu.read(gradients.of(w) ?? x))
        optimizer.step(gradients, () => 0.5)
        const moved = mul(w, 2)
        read.push(gpu.read(moved))
        gpu.write(w, [w.shape.length + read.length])
        return [add(moved, w), loss]
      },
      { replay },
    )
    const values: number[] = []
    for (const x of [1, 2, 3])
      for (const t of captured.run({ values: [x], shape: [1] })) values.push(...(await gpu.read(t)))
    values.push(...(await Promise.all(read)).flatMap((v) => [...v]))
    captured.release()
    return values
  }
  const expected = [4 + 3, 6, 0 + 5, 18, -2 + 7, 60, 2, 4, 6, 0, 12, -2]
  assert.equal([await run(false), await run(true)], [expected, expected])
})

test('an optimizer made in a step moves variables, and is made all the same', async ({ gpu }) => {
  const { results, reasons, replays } = await sixTimes(gpu, (x) => {
    const w = gpu.variable([2], [1])
    const y = sum(mul(w, x))
    const gradients = gpu.backward(y)
    new Sgd({ w }).step(gradients, () => 1)
    return add(y, w)
  })
  assert.equal(
    results,
    [1, 2, 3, 4, 5, 6].map((x) => 2 * x + 2 - x),
  )
  assert.is(replays, 0)
  assert.match(reasons[5] ?? '', /^a variable was written from JavaScript in the step/)
})

test('a learning rate must be a function, one that reads what lives on, and change in everyStep', async ({
  gpu,
}) => {
  const rates = [0.5, 0.25, 0.125, 0.5, 0.25, 0.125]
  const train = async (step: (optimizer: Sgd, gradients: Gradients) => void) => {
    const w = gpu.variable([8], [1])
    const optimizer = new Sgd({ w })
    const captured = gpu.capture((x: Tensor) => {
      const loss = sum(mul(w, x))
      step(optimizer, gpu.backward(loss))
      return loss
    })
    for (let i = 0; i < rates.length; i++) captured.run({ values: [1], shape: [1] })
    assert.equal([...(await gpu.read(w))], [8 - 1.75], 'what a step by itself would do')
    const { reason, replays } = captured
    captured.release()
    return { reason, replays }
  }
  let i = 0
  const plain = await train((optimizer, gradients) => optimizer.step(gradients, rates[i++] ?? 0))
  assert.is(plain.reason, 'the learning rate 0.125 is a plain number; give a function, () => lr')
  i = 0
  const remembered = await train((optimizer, gradients) => {
    const lr = rates[i++] ?? 0
    optimizer.step(gradients, () => lr)
  })
  assert.match(
    remembered.reason ?? '',
    /^sgd: the function for lr of an earlier step gives 0.25 where this step's gives 0.125;/,
  )
  i = 0
  const hidden = await train((optimizer, gradients) => {
    optimizer.step(gradients, () => rates[i] ?? 0)
    i++
  })
  assert.match(
    hidden.reason ?? '',
    /^a number that params are computed from went from .* within the step; let it change in/,
  )
  i = 0
  const right = await train((optimizer, gradients) => {
    optimizer.step(gradients, () => rates[i] ?? 0)
    gpu.everyStep(() => i++)
  })
  assert.equal([plain.replays, remembered.replays, hidden.replays, right.replays], [0, 0, 0, 4])
  assert.is(right.reason, null)
})

test('a number that changes after many replays is found by a rehearsal, which throws', async ({
  gpu,
}) => {
  let scale = 2
  const captured = gpu.capture((x: Tensor) => mul(x, scale))
  const run = () => captured.run({ values: [3], shape: [1] })
  for (let i = 0; i < 40; i++) run()
  scale = 5
  let message = ''
  for (let i = 0; i < 300 && message === ''; i++)
    try {
      run()
    } catch (error) {
      message = (error as Error).message // what run throws
    }
  assert.match(
    message,
    /^captured step: affine: scale was 2, now 5; give it as a function, \(\) => value. The last \d+ steps, which were replayed, may have been wrong$/,
  )
  assert.equal([...(await gpu.read(run()))], [15])
  captured.release()
})

test.run()
