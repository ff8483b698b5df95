// Tests the papers' linear protocols against float64: rates, and the weights of their first steps.

import * as assert from 'uvu/assert'
import { crossEntropy } from '../../kernels/loss/cross-entropy.ts'
import {
  type LinearProtocol,
  type LinearProtocolName,
  linearProtocols,
} from '../../evaluate/linear-protocols.ts'
import { random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('linear protocols')
const names = Object.keys(linearProtocols) as LinearProtocolName[]
const [N, F, C] = [7, 5, 3]

test('rates are those of the papers, at their batches and at others', () => {
  const first = (name: LinearProtocolName, batch: number) => linearProtocols[name].rate(batch)
  assert.equal([first('moco', 256), first('moco', 32)], [30, 30])
  assert.equal([first('simclr', 4096), first('simclr', 512)], [1.6, 0.2])
  assert.equal([first('moco-v3', 1024), first('simsiam', 4096)], [0.4, 1.6])
  const at = (name: LinearProtocolName, epoch: number, epochs: number) =>
    linearProtocols[name].schedule(1, epochs)(epoch)
  const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-12, `${a}, not ${b}`)
  for (const [epoch, rate] of [
    ...([0, 59.9].map((e) => [e, 1]) as [number, number][]),
    ...([60, 79.9].map((e) => [e, 0.1]) as [number, number][]),
    [80, 0.01] as const,
  ])
    near(at('moco', epoch, 100), rate)
  near(at('moco', 6, 10), 0.1)
  near(at('simclr', 45, 90), 0.5)
  near(at('simclr', 45.5, 90), (1 + Math.cos((Math.PI * 45.5) / 90)) / 2) // falls each step
  for (const name of ['moco-v3', 'simsiam'] as const) {
    near(at(name, 45.9, 90), 0.5) // falls each epoch
    near(at(name, 0.9, 90), 1)
  }
})

/** Returns the gradient of the mean cross entropy of x Wᵀ + b. */
function gradientOf(w: number[], b: number[], x: ArrayLike<number>, labels: ArrayLike<number>) {
  const [gw, gb] = [w.map(() => 0), b.map(() => 0)]
  for (let n = 0; n < N; n++) {
    const scores = b.map((bias, c) =>
      Array.from({ length: F }).reduce<number>(
        (sum, _, f) => sum + (w[c * F + f] ?? 0) * Number(x[n * F + f]),
        bias,
      ),
    )
    const most = Math.max(...scores)
    const sum = scores.reduce((all, s) => all + Math.exp(s - most), 0)
    for (let c = 0; c < C; c++) {
      const error = (Math.exp((scores[c] ?? 0) - most) / sum - Number(labels[n] === c)) / N
      gb[c] = (gb[c] ?? 0) + error
      for (let f = 0; f < F; f++)
        gw[c * F + f] = (gw[c * F + f] ?? 0) + error * Number(x[n * F + f])
    }
  }
  return [gw, gb] as const
}

const norm = (v: readonly number[]) => Math.hypot(...v)

/** Steps by torch.optim.SGD, Nesterov's, or apex's LARC around it. */
function stepOf(name: LinearProtocolName, w: number[], g: number[], v: number[], lr: number) {
  const isAdapted = name === 'simsiam' && norm(w) > 0 && norm(g) > 0
  const trust = isAdapted ? (0.001 * norm(w)) / norm(g) : 1
  for (let i = 0; i < w.length; i++) {
    const gradient = trust * (g[i] ?? 0)
    v[i] = 0.9 * (v[i] ?? 0) + gradient
    w[i] = (w[i] ?? 0) - lr * (name === 'simclr' ? gradient + 0.9 * (v[i] ?? 0) : (v[i] ?? 0))
  }
}

for (const name of names)
  test(`${name}: begins and steps as its paper's code does`, async ({ gpu }) => {
    const protocol: LinearProtocol = linearProtocols[name]
    const { parameters, classify } = protocol.head(gpu, [F, C], 3)
    const { weight, bias } = parameters
    if (!weight || !bias) throw new Error('a linear head has a weight and a bias')
    const x = random(N * F, 5)
    const labels = Int32Array.from({ length: N }, (_, n) => n % C)
    const [w, b] = [Array.from(await gpu.read(weight)), Array.from(await gpu.read(bias))]
    assert.ok(b.every((value) => value === 0))
    const spread = norm(w) / Math.sqrt(w.length)
    assert.ok(spread > 0.005 && spread < 0.02, `N(0, 0.01²), not ${spread}`)
    const other = protocol.head(gpu, [F, C], 4).parameters['weight']
    assert.ok(other && (await gpu.read(other)).every((value, i) => value !== w[i]), 'by the seed')
    const optimizer = protocol.optimizer({ weight, bias })
    const [vw, vb] = [w.map(() => 0), b.map(() => 0)]
    const step = gpu.capture(() => {
      const scores = classify(gpu.tensor(x, [N, F]), { training: true })
      const loss = crossEntropy(scores, gpu.tensor(labels, [N]))
      optimizer.step(gpu.backward(loss), 0.3)
      return loss
    })
    for (let s = 0; s < 4; s++) {
      const [gw, gb] = gradientOf(w, b, x, labels)
      stepOf(name, w, gw, vw, 0.3)
      stepOf(name, b, gb, vb, 0.3)
      await gpu.read(step.run())
    }
    for (const [own, exact] of [
      [Array.from(await gpu.read(weight)), w],
      [Array.from(await gpu.read(bias)), b],
    ] as const)
      for (const [i, value] of own.entries())
        assert.ok(Math.abs(value - (exact[i] ?? NaN)) < 1e-5, `${i}: ${value}, not ${exact[i]}`)
  })

test.run()
