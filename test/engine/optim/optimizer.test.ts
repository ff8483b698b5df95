import * as assert from 'uvu/assert'
import type { Tensor, Variable } from '../../../kernels/op.ts'
import { sizeOf } from '../../../kernels/op.ts'
import { add } from '../../../kernels/elementwise/add.ts'
import { mul } from '../../../kernels/elementwise/mul.ts'
import { sum } from '../../../kernels/reduce/sum.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { Gradients } from '../../../engine/optim/gradients.ts'
import { type Optimizer, Adam, AdamW, Lars, Sgd } from '../../../engine/optim/optimizer.ts'
import { close, random } from '../../fixtures/check.ts'
import { Golden, goldenNames } from '../../fixtures/golden.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'

const test = gpuSuite('optimizer')

/** One parameter's range of a flat state variable. */
async function stateOf(gpu: Gpu, optimizer: Optimizer, role: string, i: number, size: number) {
  const flat = optimizer.state[role]
  if (!flat) throw new Error(`no state ${role}`)
  const offset = optimizer.offsets[i] ?? 0
  return (await gpu.read(flat)).slice(offset, offset + size)
}

/** Steps through the recorded gradients, collecting the parameters after each step. */
async function replay(
  gpu: Gpu,
  golden: Golden,
  names: [parameter: string, gradient: string][],
  make: Make,
) {
  const parameters = Object.fromEntries(
    names.map(([p]) => [p.slice(3), gpu.variable(golden.values(p), golden.shape(p))]),
  )
  const optimizer = make(parameters)
  const steps = golden.shape(names[0]?.[1] ?? '')[0] ?? 0
  const rates = golden.config['lr_per_step'] as number[] | undefined
  const trace: number[][] = names.map(() => [])
  for (let s = 0; s < steps; s++) {
    gpu.step(() => {
      const pairs = Object.values(parameters).map((variable, i): [Tensor, Tensor] => {
        const size = sizeOf(variable.shape)
        const all = golden.values(names[i]?.[1] ?? '')
        return [variable, gpu.tensor(all.slice(s * size, (s + 1) * size), variable.shape)]
      })
      optimizer.step(new Gradients(pairs), rates?.[s] ?? Number(golden.config['lr']))
    })
    for (const [i, variable] of Object.values(parameters).entries())
      trace[i]?.push(...(await gpu.read(variable)))
  }
  return { optimizer, trace, parameters: Object.values(parameters) }
}
type Make = (parameters: Record<string, Variable>) => Optimizer

const roles: Record<string, string> = {
  momentum_buffer: 'momentum',
  exp_avg: 'exp_avg',
  exp_avg_sq: 'exp_avg_sq',
}

for (const name of goldenNames('sgd_', 'adam')) {
  test(`${name} follows torch.optim`, async ({ gpu }) => {
    const golden = new Golden(name)
    const {
      momentum,
      nesterov,
      weight_decay: weightDecay,
      betas,
      eps,
    } = golden.config as Record<string, never> // numbers and flags, as the case has them
    const options = Object.fromEntries(
      Object.entries({ momentum, nesterov, weightDecay, betas, eps }).filter(
        ([, v]) => v !== undefined,
      ),
    )
    const make: Make = (parameters) => {
      if (golden.config['optimizer'] === 'sgd') return new Sgd(parameters, options)
      const Kind = golden.config['optimizer'] === 'adamw' ? AdamW : Adam
      return new Kind(parameters, options)
    }
    const indices = [0, 1, 2, 3].filter((i) => golden.has(`in.p${i}`))
    const names = indices.map((i) => [`in.p${i}`, `in.g${i}`] as [string, string])
    const { optimizer, trace, parameters } = await replay(gpu, golden, names, make)
    for (const i of indices) {
      golden.expect(`out.p${i}`, trace[i] ?? [])
      for (const [theirs, ours] of Object.entries(roles)) {
        const size = sizeOf(parameters[i]?.shape ?? [])
        if (golden.has(`after.p${i}.${theirs}`))
          golden.expect(`after.p${i}.${theirs}`, await stateOf(gpu, optimizer, ours, i, size))
      }
    }
    golden.done()
  })
}

for (const name of goldenNames('lars_')) {
  test(`${name} follows google-research/simclr`, async ({ gpu }) => {
    const golden = new Golden(name)
    const { momentum, nesterov, classic, wd, eeta } = golden.config
    const excluded = golden.config['exclude_from_weight_decay_and_adaptation'] as string[]
    const exclude = (parameter: string) =>
      excluded.some((pattern) => new RegExp(pattern).test(parameter))
    const parameters = golden.config['names'] as string[]
    const names = parameters.map((p) => [`in.p.${p}`, `in.g.${p}`] as [string, string])
    const {
      optimizer,
      trace,
      parameters: variables,
    } = await replay(
      gpu,
      golden,
      names,
      (named) =>
        new Lars(named, {
          momentum: Number(momentum),
          nesterov: Boolean(nesterov),
          form: classic === false ? 'not-classic' : 'simclr',
          weightDecay: Number(wd),
          eta: Number(eeta),
          exclude: (n) => exclude(n.replace(/^p\./, '')),
        }),
    )
    for (const [i, parameter] of parameters.entries()) {
      golden.expect(`out.${parameter}`, trace[i] ?? [])
      const size = sizeOf(variables[i]?.shape ?? [])
      golden.expect(
        `after.momentum.${parameter}`,
        await stateOf(gpu, optimizer, 'momentum', i, size),
      )
    }
    golden.done()
  })
}

test('collects gradients of every size, in a dispatch for seven', async ({ gpu }) => {
  const sizes = [1, 3, 4, 63, 64, 65, 255, 256, 257, 260, 1000, 1001, 8, 12, 16, 20, 5000, 7]
  const parameters = Object.fromEntries(
    sizes.map((n, i) => [`p${i}`, gpu.variable(new Float32Array(n), [n])]),
  )
  const values = sizes.map((n, i) => random(n, i + 1).map(Math.fround))
  const optimizer = new Sgd(parameters)
  const before = gpu.stats().dispatches
  gpu.step(() => {
    const gradients = Object.values(parameters).map((variable, i): [Tensor, Tensor] => [
      variable,
      gpu.tensor(values[i] ?? [], variable.shape),
    ])
    optimizer.step(new Gradients(gradients), 1)
  })
  assert.is(gpu.stats().dispatches - before, 2 + 2 + 1) // nine of whole fours, nine others, and the update
  for (const [i, variable] of Object.values(parameters).entries())
    assert.equal(
      [...(await gpu.read(variable))],
      values[i]?.map((v) => -v),
    )
})

test('gradients in two parts are added on the way, three a dispatch, to the bits of their sums', async ({
  gpu,
}) => {
  const sizes = [1, 3, 4, 64, 65, 256, 257, 260, 1000, 1001, 8]
  const steps = async (asked: boolean) => {
    const parameters = sizes.map((n, i) => gpu.variable(random(n, i + 1), [n]))
    const optimizer = new Sgd(Object.fromEntries(parameters.map((p, i) => [`p${i}`, p])))
    const before = gpu.stats().dispatches
    gpu.step(() => {
      // each is used twice, the first three times
      const terms = parameters.flatMap((p, i) => [sum(mul(p, i + 0.3)), sum(mul(mul(p, p), 0.7))])
      const first = parameters[0]
      const loss = [...terms, ...(first ? [sum(first)] : [])].reduce((a, b) => add(a, b))
      const gradients = gpu.backward(loss)
      if (asked) for (const p of parameters) gradients.of(p)
      optimizer.step(gradients, 1)
    })
    const dispatches = gpu.stats().dispatches - before
    return {
      dispatches,
      bits: await Promise.all(parameters.map(async (p) => [...(await gpu.read(p))])),
    }
  }
  const [parts, sums] = [await steps(false), await steps(true)]
  assert.equal(parts.bits, sums.bits)
  assert.is(sums.dispatches - parts.dispatches, 11 + 2 - 4) // six of whole fours, five others
})

test('a parameter without a gradient is left alone, weight decay included', async ({ gpu }) => {
  const [used, unused] = [gpu.variable([1, 2], [2]), gpu.variable([3, 4], [2])]
  const optimizer = new Sgd({ used, unused }, { weightDecay: 0.5 })
  gpu.step(() => optimizer.step(new Gradients([[used, gpu.tensor([1, 1], [2])]]), 0.1))
  assert.equal([...(await gpu.read(unused))], [3, 4])
  assert.equal(
    [...(await gpu.read(used))].map((v) => v.toFixed(4)),
    ['0.8500', '1.8000'],
  )
})

test('each form of LARS takes the step that its code takes', async ({ gpu }) => {
  // computed in float64 from the formulas of google-research/simclr and MoCo v3, of bolts and
  // lightly, and of solo-learn with eta 0.02 and clip_lr
  const forms = {
    simclr: [0.4987776, -1.00244236, 2.00366293, 0.2493888],
    'moco-v3': [0.4987776, -1.00244236, 2.00366293, 0.2493888],
    lightly: [0.49877898, -1.00243961, 2.0036588, 0.24938949],
    'solo-learn': [0.48778976, -1.02439606, 2.03658799, 0.24389488],
  } as const
  for (const [form, expected] of Object.entries(forms)) {
    const w = gpu.variable([0.5, -1, 2, 0.25], [2, 2])
    const optimizer = new Lars(
      { w },
      {
        form: form as keyof typeof forms,
        weightDecay: 1e-4,
        eta: form === 'solo-learn' ? 0.02 : 1e-3,
      },
    )
    const g = gpu.tensor([0.1, 0.2, -0.3, 0.05], [2, 2])
    optimizer.step(new Gradients([[w, g]]), 2)
    close(await gpu.read(w), expected, 1e-7, form)
  }
})

test('solo-learn clips the ratio by the rate, and later forms leave a weight without gradient', async ({
  gpu,
}) => {
  const stepped = async (form: 'simclr' | 'lightly' | 'solo-learn', g: number[], lr: number) => {
    const w = gpu.variable([3, 4], [1, 2])
    const lars = new Lars({ w }, { form, weightDecay: 0.5, eta: 1, momentum: 0 })
    lars.step(new Gradients([[w, gpu.tensor(g, [1, 2])]]), lr)
    return [...(await gpu.read(w))]
  }
  close(
    await stepped('solo-learn', [0.6, 0.8], 0.1),
    [3 - 0.1 * 2.1, 4 - 0.1 * 2.8],
    1e-6,
    'clipped',
  )
  assert.equal(await stepped('lightly', [0, 0], 0.1), [3, 4])
  close(await stepped('simclr', [0, 0], 0.1), [3 - 0.1 * 3, 4 - 0.1 * 4], 1e-6, 'decayed')
})

test('LARS leaves biases and norm parameters to plain momentum by default', async ({ gpu }) => {
  const [weight, bias] = [gpu.variable([3, 4, 0, 0], [2, 2]), gpu.variable([2, 2], [2])]
  const optimizer = new Lars({ weight, bias }, { weightDecay: 0.1, eta: 0.001 })
  const grads = () =>
    new Gradients([
      [weight, gpu.tensor([0, 0, 1, 0], [2, 2])],
      [bias, gpu.tensor([1, 1], [2])],
    ])
  gpu.step(() => optimizer.step(grads(), 1))
  assert.equal([...(await gpu.read(bias))], [1, 1])
  const trust = (0.001 * 5) / Math.hypot(0.3, 0.4, 1)
  const [w0] = await gpu.read(weight)
  assert.ok(Math.abs((w0 ?? 0) - (3 - trust * 0.3)) < 1e-6)
})

test('parameters that a newer optimizer took are not silently left to the older one', ({ gpu }) => {
  const w = gpu.variable([1, 2], [2])
  const older = new Sgd({ w })
  const newer = new Adam({ w })
  const gradients = () => new Gradients([[w, gpu.tensor([1, 1], [2])]])
  assert.throws(
    () => older.step(gradients(), 0.1),
    /its parameters were given to a newer optimizer/,
  )
  newer.step(gradients(), 0.1)
})

test('gradients of another shape and parameters named twice are refused', ({ gpu }) => {
  const w = gpu.variable([1], [1])
  const optimizer = new Sgd({ w })
  const wrong = new Gradients([[w, gpu.tensor([1, 2], [2])]])
  assert.throws(
    () => optimizer.step(wrong, 0.1),
    /^optimizer: the gradient of w must be f32 \[1\], got f32 \[2\]$/,
  )
  assert.throws(
    () => new Sgd({ a: w, b: w }),
    /^optimizer: b is the same variable as another parameter; name it once$/,
  )
})

test('an optimizer with no gradient to use says so', ({ gpu }) => {
  const optimizer = new Sgd({ w: gpu.variable([1], [1]) })
  assert.throws(
    () => optimizer.step(new Gradients([]), 0.1),
    /none of 1 parameters received a gradient/,
  )
})

test.run()
