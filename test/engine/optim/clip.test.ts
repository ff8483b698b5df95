// Clipping by the global norm, against torch.nn.utils.clip_grad_norm_ in float64.

import * as assert from 'uvu/assert'
import type { Tensor, Variable } from '../../../kernels/op.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { Gradients } from '../../../engine/optim/gradients.ts'
import { LossScaler } from '../../../engine/optim/loss-scaler.ts'
import { type FlatOptimizer, AdamW, Lars, Sgd } from '../../../engine/optim/optimizer.ts'
import { close, random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { make, refusesAll } from '../../fixtures/misuse.ts'
import { optimizerCases, readNamed, trainOptimizer } from '../../fixtures/optimizer-cases.ts'
import { type Group, clipReference } from '../../fixtures/reference-optimizers.ts'

const test = gpuSuite('clipping')

const sizes = [65, 3, 130]
const STEPS = 30
const RATE = 0.05
const MOST = 4
const weightDecay = 0.1

const {
  Sgd: _,
  'Sgd with Nesterov momentum': __,
  'Lars of MoCo v3': ___,
  ...cases
} = optimizerCases

const parameters = (gpu: Gpu): Record<string, Variable> =>
  Object.fromEntries(
    sizes.map((n, i) => [`p${i}`, gpu.variable(random(n, i + 1), i === 1 ? [n] : [1, n])]),
  )
/** Gradients whose norm, about 8 (t mod 3), is clipped in two steps of three. */
const gradientsAt = (t: number) =>
  sizes.map((n, i) => random(n, 100 * (t + 1) + i).map((g) => Math.fround((t % 3) * g + g / 8)))

/** Steps from the optimizer's t on, and returns the norms that it told of. */
async function train(gpu: Gpu, optimizer: FlatOptimizer, steps: number, scaler?: LossScaler) {
  const norms: number[] = []
  const afterStep = async () => {
    if (optimizer.norm) norms.push(await gpu.item(optimizer.norm))
  }
  const given = { steps, gradientsAt, lr: () => RATE, scaler, afterStep }
  const { replays } = await trainOptimizer(gpu, optimizer, given)
  return { norms, replays }
}

for (const [name, { make: makeCase, reference }] of Object.entries(cases)) {
  const makeOptimizer = (gpu: Gpu, clip?: number) =>
    makeCase(parameters(gpu), { weightDecay, ...(clip !== undefined && { clip }) })

  test(`${name} clips as clip_grad_norm_ for ${STEPS} steps, with a scaler to the same bits`, async ({
    gpu,
  }) => {
    const groups: Group[] = sizes.map((n, i) => ({
      w: random(n, i + 1),
      state: {},
      lr: RATE,
      weightDecay: name.startsWith('Lars') && i === 1 ? 0 : weightDecay,
      adapted: i !== 1,
    }))
    const expected: number[] = []
    for (let t = 0; t < STEPS; t++) {
      const gradients = gradientsAt(t)
      expected.push(clipReference(gradients, MOST))
      reference(groups, gradients, t + 1)
    }
    assert.ok(Math.max(...expected) > 2 * MOST && Math.min(...expected) < MOST)

    const optimizer = makeOptimizer(gpu, MOST)
    const { norms, replays } = await train(gpu, optimizer, STEPS)
    assert.ok(replays > 20)
    close(norms, expected, 1e-6, 'norms')
    const found = await readNamed(gpu, optimizer.parameters)
    for (const [i, { w }] of groups.entries()) close(found[i] ?? [], w, 2e-5, `parameter ${i}`)

    const scaled = makeOptimizer(gpu, MOST)
    const scaler = new LossScaler(gpu, { scale: 64, interval: 8 }) // which grows on the way
    assert.equal((await train(gpu, scaled, STEPS, scaler)).norms, norms)
    assert.equal(await readNamed(gpu, scaled.parameters), found)
  })

  test(`${name} takes two dispatches more, and Infinity only measures`, async ({ gpu }) => {
    const counts: number[] = []
    const results: number[][][] = []
    for (const clip of [undefined, Infinity, 1e30, MOST]) {
      const optimizer = makeOptimizer(gpu, clip)
      const before = gpu.stats().dispatches
      const { norms } = await train(gpu, optimizer, 2)
      counts.push((gpu.stats().dispatches - before) / 2)
      results.push(await readNamed(gpu, optimizer.parameters))
      assert.is(norms.length, clip === undefined ? 0 : 2)
    }
    assert.equal(
      counts.map((count) => count - (counts[0] ?? NaN)),
      [0, 2, 2, 2],
    )
    assert.equal(results[1], results[0])
    assert.equal(results[2], results[0]) // a factor of 1
    assert.not.equal(results[3], results[0])
  })
}

test('the norm is of every size, and of those that are updated alone', async ({ gpu }) => {
  for (const n of [1, 63, 64, 65, 16384, 16449, 50000]) {
    const [w, old, frozen] = [n, 5, 5].map((size) => gpu.variable(new Float32Array(size), [size]))
    if (!w || !old || !frozen) throw new Error('there are three')
    const optimizer = new Sgd(
      { w, old, frozen },
      { clip: 1, treat: (name) => ({ frozen: name === 'frozen' }) },
    )
    const five = () => gpu.tensor([9, 9, 9, 9, 9], [5])
    const g = random(n, n)
    gpu.step(() => optimizer.step(new Gradients([[old, five()]]), 1)) // stays in the flat buffer
    const pairs = (): [Tensor, Tensor][] => [
      [w, gpu.tensor(g, [n])],
      [frozen, five()],
    ]
    gpu.step(() => optimizer.step(new Gradients(pairs()), 1))
    const norm = Math.hypot(...g)
    close([await gpu.item(optimizer.norm as Variable)], [norm], 1e-5 * norm, `norm of ${n}`)
    const factor = Math.min(1, 1 / (norm + 1e-6))
    close(
      await gpu.read(w),
      g.map((v) => -v * factor),
      1e-6,
      `weights of ${n}`,
    )
  }
})

test('NaN stays NaN, infinity is as in PyTorch, and a scaler skips both', async ({ gpu }) => {
  for (const bad of [NaN, Infinity]) {
    const start = () => ({ a: gpu.variable([1, 2], [2]), b: gpu.variable([3], [1]) })
    const gradients = ({ a, b }: { a: Variable; b: Variable }) =>
      new Gradients([
        [a, gpu.tensor([bad, 1], [2])],
        [b, gpu.tensor([1], [1])],
      ])
    const plain = start()
    const optimizer = new Sgd(plain, { clip: 1 })
    gpu.step(() => optimizer.step(gradients(plain), 0.5))
    assert.equal(
      await readNamed(gpu, plain),
      Number.isNaN(bad) ? [[NaN, NaN], [NaN]] : [[NaN, 2], [3]],
    )
    assert.equal(await gpu.item(optimizer.norm as Variable), bad)

    const skipped = start()
    const other = new Sgd(skipped, { clip: 1 })
    const scaler = new LossScaler(gpu, { scale: 2 })
    gpu.step(() => other.step(gradients(skipped), 0.5, scaler))
    assert.equal(await readNamed(gpu, skipped), [[1, 2], [3]])
    assert.is(await gpu.item(scaler.scale), 1)
  }
})

test('what is no norm is refused', ({ gpu }) => {
  const w = gpu.variable([1], [1])
  return refusesAll([
    ['zero', () => make(AdamW, { w }, { clip: 0 }), 'AdamW: clip must be a number above 0, got 0'],
    [
      'a word',
      () => make(Lars, { w }, { clip: '1' }),
      "Lars: clip must be a number above 0, got '1'",
    ],
  ])
})

test.run()
