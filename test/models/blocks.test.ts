// Tests AMDIM's building blocks (Philip-Bachman/amdim-public, model.py), composed of ops as its
// encoder composes them.

import * as assert from 'uvu/assert'
import { add } from '../../kernels/elementwise/add.ts'
import { avgPool } from '../../kernels/pool/avg-pool.ts'
import { batchNorm } from '../../kernels/norm/batch-norm.ts'
import { concat } from '../../kernels/shape/concat.ts'
import { conv2d } from '../../kernels/conv/conv2d.ts'
import type { Tensor } from '../../kernels/op.ts'
import { relu } from '../../kernels/elementwise/relu.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { Golden } from '../fixtures/golden.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const test = gpuSuite('AMDIM blocks')

/** The weights and the running statistics of a golden case, made when first asked for. */
class Weights {
  readonly golden: Golden
  readonly made = new Map<string, Tensor>()
  readonly #gpu: Gpu

  constructor(gpu: Gpu, name: string) {
    this.#gpu = gpu
    this.golden = new Golden(name)
  }

  tensor(name: string): Tensor {
    const { golden } = this
    const made =
      golden.shape(`w.${name}`).length === 4
        ? golden.kernel(this.#gpu, `w.${name}`)
        : golden.tensor(this.#gpu, `w.${name}`)
    this.made.set(name, made)
    return made
  }

  batchNorm(x: Tensor, name: string): Tensor {
    const variable = (key: string) => {
      const made = this.#gpu.variable(
        this.golden.values(`w.${name}.${key}`),
        this.golden.shape(`w.${name}.${key}`),
      )
      this.made.set(`${name}.${key}`, made)
      return made
    }
    const running = { mean: variable('running_mean'), variance: variable('running_var') }
    return batchNorm(x, this.tensor(`${name}.weight`), this.tensor(`${name}.bias`), running, {
      training: true,
    })
  }

  /** Compares y, every gradient and every running statistic; layers that the block leaves out must
   *  have been left alone. */
  async compare(x: Tensor, y: Tensor) {
    const { golden, made } = this
    await golden.matchImages(this.#gpu, 'out.y', y)
    const gradients = this.#gpu.backward(y, golden.images(this.#gpu, 'up.y'))
    await golden.matchImages(this.#gpu, 'grad.x', gradients.of(x))
    for (const name of golden.names.filter((n) => n.startsWith('w.')).map((n) => n.slice(2))) {
      const layer = name.slice(0, name.lastIndexOf('.'))
      const used = [...made.keys()].some((key) => key.startsWith(`${layer}.`))
      const tensor = made.get(name)
      if (name.endsWith('num_batches_tracked')) golden.expect(`after.${name}`, [Number(used)])
      else if (!used) this.#compareUnused(name)
      else if (name.includes('running_')) await golden.match(this.#gpu, `after.${name}`, tensor)
      else if (tensor?.shape.length === 4)
        await golden.matchKernel(this.#gpu, `grad.${name}`, gradients.of(tensor))
      else await golden.match(this.#gpu, `grad.${name}`, tensor && gradients.of(tensor))
    }
    golden.done()
  }

  #compareUnused(name: string) {
    const values = this.golden.values(`w.${name}`)
    if (name.includes('running_')) this.golden.expect(`after.${name}`, values)
    else
      this.golden.expect(
        `grad.${name}`,
        values.map(() => 0),
      )
  }
}

interface Layer {
  readonly width: number
  readonly stride: number
  readonly normalize?: boolean
}

/** conv1, batch norm if any, relu, conv2, plus the average-pooled input, padded with zero
 *  channels. */
function convResNxN(
  gpu: Gpu,
  w: Weights,
  x: Tensor,
  prefix: string,
  { width, stride, normalize }: Layer,
): Tensor {
  const h1 = conv2d(x, w.tensor(`${prefix}conv1.weight`), { stride })
  const h2 = relu(normalize ? w.batchNorm(h1, `${prefix}bn1.bn`) : h1)
  const branch = conv2d(h2, w.tensor(`${prefix}conv2.weight`))
  const pooled = avgPool(x, { size: width, stride })
  const [N = 0, H = 0, W = 0, C = 0] = branch.shape
  const missing = C - (pooled.shape[3] ?? 0)
  if (missing === 0) return add(branch, pooled)
  const zeros = gpu.tensor(new Float32Array(N * H * W * missing), [N, H, W, missing])
  return add(branch, concat([pooled, zeros], 3))
}

test('Conv3x3: reflected padding, bias, relu', async ({ gpu }) => {
  const w = new Weights(gpu, 'amdim_Conv3x3_reflect')
  const x = w.golden.images(gpu, 'in.x')
  const y = conv2d(x, w.tensor('conv.weight'), { stride: 2, padding: 2, padMode: 'reflect' })
  await w.compare(x, relu(add(y, w.tensor('conv.bias'))))
})

test('ConvResNxN: zero channels beside the pooled input, batch norm in the branch', async ({
  gpu,
}) => {
  const w = new Weights(gpu, 'amdim_ConvResNxN_pad')
  const x = w.golden.images(gpu, 'in.x')
  await w.compare(x, convResNxN(gpu, w, x, '', { width: 4, stride: 2, normalize: true }))
})

test('FakeRKHS: two paths into one batch norm', async ({ gpu }) => {
  const w = new Weights(gpu, 'amdim_FakeRKHS')
  const x = w.golden.images(gpu, 'in.x')
  const branch = conv2d(relu(conv2d(x, w.tensor('conv1.weight'))), w.tensor('conv2.weight'))
  const shortcut = add(conv2d(x, w.tensor('shortcut.weight')), w.tensor('shortcut.bias'))
  await w.compare(x, w.batchNorm(add(branch, shortcut), 'bn_out.bn'))
})

test('ConvResBlock: a strided layer, then one by one', async ({ gpu }) => {
  const w = new Weights(gpu, 'amdim_ConvResBlock_d2')
  const x = w.golden.images(gpu, 'in.x')
  const h = convResNxN(gpu, w, x, 'layer_list.0.', { width: 2, stride: 2 })
  assert.equal(h.shape, [2, 5, 5, 8])
  await w.compare(x, convResNxN(gpu, w, h, 'layer_list.1.', { width: 1, stride: 1 }))
})

test.run()
