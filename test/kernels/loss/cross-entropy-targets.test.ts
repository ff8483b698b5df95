import * as assert from 'uvu/assert'
import type { Tensor } from '../../../kernels/op.ts'
import { crossEntropy } from '../../../kernels/loss/cross-entropy.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { checkOp, close, random } from '../../fixtures/check.ts'
import { gradientAt } from '../../fixtures/golden-op.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { refuses } from '../../fixtures/refusal.ts'

const test = gpuSuite('crossEntropy with weights, smoothing and soft targets')

const logSoftmax = (row: number[]) => {
  const most = Math.max(...row)
  const sum = Math.log(row.reduce((a, v) => a + Math.exp(v - most), 0))
  return row.map((v) => v - most - sum)
}

interface Form {
  readonly C: number
  readonly weight?: readonly number[]
  readonly smoothing?: number
}

/** PyTorch's formula for labels: smoothed, weighted by class, over the sum of the labels'
 *  weights. */
const ofLabels =
  (labels: readonly number[], { C, weight, smoothing = 0 }: Form) =>
  (x: number[]) => {
    let [sum, weights] = [0, 0]
    const w = (c: number) => (weight ? (weight[c] ?? NaN) : 1)
    for (const [n, label] of labels.entries()) {
      if (label === -100) continue
      const logs = logSoftmax(x.slice(n * C, (n + 1) * C))
      const smooth = logs.reduce((a, v, c) => a - w(c) * v, 0)
      sum += -(1 - smoothing) * w(label) * (logs[label] ?? NaN) + (smoothing / C) * smooth
      weights += w(label)
    }
    return [sum / weights]
  }

/** PyTorch's formula for distributions, over the number of rows. */
const ofTargets =
  ({ C, weight, smoothing = 0 }: Form) =>
  (x: number[], t: number[]) => {
    const N = x.length / C
    let sum = 0
    for (let n = 0; n < N; n++) {
      const logs = logSoftmax(x.slice(n * C, (n + 1) * C))
      for (const [c, log] of logs.entries())
        sum -= (weight?.[c] ?? 1) * ((1 - smoothing) * (t[n * C + c] ?? NaN) + smoothing / C) * log
    }
    return [sum / N]
  }

const weights = (C: number) => random(C, 8).map((v) => Math.fround(1.2 + v))
const positive = (count: number) => random(count, 9).map((v) => Math.fround((v + 1) / 2))

for (const kernels of ['device', 'gpu'] as const)
  test(`agrees with float64: ${kernels}`, async ({ gpu: host }) => {
    const gpu = kernels === 'device' ? host : new Gpu(host.device, { kernels })
    for (const [N, C] of [
      [1, 1],
      [3, 4],
      [2, 64],
      [5, 65],
      [70, 5],
    ] as const) {
      const labels = random(N, 5).map((v, n) =>
        n > 0 && n % 3 === 0 ? -100 : Math.floor(((v + 1) / 2) * C),
      )
      const weight = weights(C)
      const w = gpu.tensor(weight, [C])
      for (const [form, options] of [
        [{ C, weight }, { weight: w }],
        [{ C, smoothing: 0.1 }, { labelSmoothing: 0.1 }],
        [
          { C, weight, smoothing: 1 },
          { weight: w, labelSmoothing: 1 },
        ],
        [
          { C, weight, smoothing: 0.3 },
          { weight: w, labelSmoothing: 0.3 },
        ],
      ] as const)
        await checkOp(gpu, (x) => crossEntropy(x, labels, options), ofLabels(labels, form), [
          [N, C],
        ])
      for (const [form, options] of [
        [{ C }, {}],
        [
          { C, weight, smoothing: 0.3 },
          { weight: w, labelSmoothing: 0.3 },
        ],
      ] as const) {
        const shapes = [
          [N, C],
          [N, C],
        ]
        const values = [random(N * C), positive(N * C)]
        const soft = (x: Tensor, t: Tensor) => crossEntropy(x, t, options)
        await checkOp(gpu, soft, ofTargets(form), shapes, { values })
      }
    }
    if (gpu !== host) gpu.destroy()
  })

test('soft targets of one class equal labels, and weights of 1 equal none', async ({ gpu }) => {
  const x = gpu.tensor(random(12), [3, 4])
  const oneHot = gpu.tensor([0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1], [3, 4])
  const plain = await gpu.read(crossEntropy(x, [1, 0, 3]))
  const ones = gpu.tensor([1, 1, 1, 1], [4])
  close(await gpu.read(crossEntropy(x, oneHot)), plain, 1e-6, 'soft')
  close(await gpu.read(crossEntropy(x, [1, 0, 3], { weight: ones })), plain, 1e-6, 'weighted')
})

test('ignored rows and rows of NaN keep to themselves', async ({ gpu }) => {
  const values = random(12)
  values[4] = NaN
  const x = gpu.tensor(values, [4, 3])
  const fine = gpu.tensor(random(12), [4, 3])
  for (const options of [{ labelSmoothing: 0.2 }, { weight: gpu.tensor([1, 2, 3], [3]) }]) {
    const ignored = crossEntropy(x, [0, -100, 2, 1], options)
    assert.ok(Number.isFinite(await gpu.item(ignored)))
    const none = await gradientAt(gpu, ignored, x)
    assert.equal([...none.slice(3, 6)], [0, 0, 0])
    assert.ok(none.every(Number.isFinite))
    for (const [logits, labels] of [
      [x, gpu.tensor([0, 1, 2, 1], [4])],
      [fine, gpu.tensor([0, 3, 2, 1], [4])],
      [fine, gpu.tensor([0, 0.5, 2, 1], [4])],
    ] as const) {
      const loss = crossEntropy(logits, labels, options)
      assert.ok(Number.isNaN(await gpu.item(loss)))
      const dx = await gradientAt(gpu, loss, logits)
      for (const [i, d] of dx.entries())
        assert.is(Number.isNaN(d), i >= 3 && i < 6, `gradient ${i}`)
    }
    assert.ok(Number.isNaN(await gpu.item(crossEntropy(fine, [-100, -100, -100, -100], options))))
  }
})

test('a class without a target may be masked by -Infinity', async ({ gpu }) => {
  const x = gpu.tensor([0, -Infinity, 0], [1, 3])
  const targets = gpu.tensor([0.5, 0, 0.5], [1, 3])
  const loss = crossEntropy(x, targets)
  close(await gpu.read(loss), [Math.log(2)], 1e-6, 'loss')
  close(await gradientAt(gpu, loss, x), [0, 0, 0], 1e-6, 'gradient')
})

test('what does not fit is refused', ({ gpu }) => {
  const x = gpu.tensor(random(6), [2, 3])
  refuses(
    () => crossEntropy(x, gpu.tensor(random(4), [2, 2])),
    "crossEntropy: soft targets must have the logits' shape [2, 3], got [2, 2]",
  )
  refuses(
    () => crossEntropy(x, [0, 1], { weight: gpu.tensor([1, 2], [2]) }),
    'crossEntropy: weight must have one value per class, got [2] for [2, 3]',
  )
  refuses(
    () => crossEntropy(x, gpu.tensor(random(6), [2, 3]), { ignoreIndex: 1 }),
    'crossEntropy: ignoreIndex is for labels, got soft targets',
  )
  refuses(
    () => crossEntropy(x, [0, 1], { labelSmoothing: 1.5 }),
    'crossEntropy: labelSmoothing must be a number from 0 to 1, got 1.5',
  )
})

test.run()
