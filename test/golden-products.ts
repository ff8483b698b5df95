// The golden cases of ops that are made of products, which each precision computes in its own way.

import { add } from '../kernels/add.ts'
import { conv2d } from '../kernels/conv2d.ts'
import { infoNce } from '../kernels/infonce.ts'
import { linear } from '../kernels/linear.ts'
import { matmul } from '../kernels/matmul.ts'
import { ntXent } from '../kernels/ntxent.ts'
import type { Gpu } from '../engine/gpu.ts'
import type { Golden } from './golden.ts'

interface Convolution {
  readonly stride: number
  readonly padding: number
  readonly pad_mode: 'zeros' | 'reflect'
}

/** Compares a convolution with its case. */
export async function conv2dGolden(gpu: Gpu, golden: Golden) {
  const { stride, padding, pad_mode: padMode } = golden.config as unknown as Convolution // as cases.json has it
  const [x, w] = [golden.images(gpu, 'in.x'), golden.kernel(gpu, 'in.weight')]
  const b = golden.has('in.bias') ? golden.tensor(gpu, 'in.bias') : null
  const product = conv2d(x, w, { stride, padding, padMode })
  const y = b ? add(product, b) : product
  await golden.matchImages(gpu, 'out.y', y)
  const gradients = gpu.backward(y, golden.images(gpu, 'up.y'))
  await golden.matchImages(gpu, 'grad.x', gradients.get(x))
  await golden.matchKernel(gpu, 'grad.weight', gradients.get(w))
  if (b) await golden.match(gpu, 'grad.bias', gradients.get(b))
  golden.done()
}

/** Compares a matrix product with its case. */
export async function matmulGolden(gpu: Gpu, golden: Golden) {
  const { transA = false, transB = false } = golden.config as { transA?: boolean; transB?: boolean } // see cases.json
  const self = golden.has('in.z')
  const a = golden.tensor(gpu, self ? 'in.z' : 'in.a')
  const b = self ? a : golden.tensor(gpu, 'in.b')
  const y = matmul(a, b, { transA, transB })
  await golden.match(gpu, 'out.y', y)
  const gradients = gpu.backward(y, golden.tensor(gpu, 'up.y'))
  await golden.match(gpu, self ? 'grad.z' : 'grad.a', gradients.get(a))
  if (!self) await golden.match(gpu, 'grad.b', gradients.get(b))
  golden.done()
}

/** Compares a fully connected layer with its case. */
export async function linearGolden(gpu: Gpu, golden: Golden) {
  const [x, w] = [golden.tensor(gpu, 'in.x'), golden.tensor(gpu, 'in.weight')]
  const b = golden.has('in.bias') ? golden.tensor(gpu, 'in.bias') : null
  const y = linear(x, w, b)
  await golden.match(gpu, 'out.y', y)
  const gradients = gpu.backward(y, golden.tensor(gpu, 'up.y'))
  await golden.match(gpu, 'grad.x', gradients.get(x))
  await golden.match(gpu, 'grad.weight', gradients.get(w))
  if (b) await golden.match(gpu, 'grad.bias', gradients.get(b))
  golden.done()
}

/** The temperature of a contrastive case. */
export const temperatureOf = ({ config }: Golden) => Number(config['temperature'] ?? config['tau'])

/** Compares NT-Xent with its case. */
export async function ntXentGolden(gpu: Gpu, golden: Golden) {
  const T = temperatureOf(golden)
  if (golden.has('in.z')) {
    const [rows = 0, D = 0] = golden.shape('in.z')
    const all = golden.values('in.z')
    const half = (rows / 2) * D
    const [a, b] = [gpu.tensor(all.slice(0, half), [rows / 2, D]), gpu.tensor(all.slice(half), [rows / 2, D])]
    const loss = ntXent(a, b, T)
    const gradients = gpu.backward(loss)
    const [da, db] = [gradients.get(a), gradients.get(b)]
    if (!da || !db) throw new Error('no gradient')
    const value = await gpu.read(loss)
    golden.expect('out.loss', value)
    const doubled = value.map((v) => 2 * v) // their loss_a + loss_b
    golden.expect('out.google_loss', doubled)
    golden.expect('grad.z', [...(await gpu.read(da)), ...(await gpu.read(db))])
  } else {
    const [a, b] = [golden.tensor(gpu, 'in.out_1'), golden.tensor(gpu, 'in.out_2')]
    const loss = ntXent(a, b, T, { normalized: true })
    const gradients = gpu.backward(loss)
    await golden.match(gpu, 'out.loss', loss)
    await golden.match(gpu, 'grad.out_1', gradients.get(a))
    await golden.match(gpu, 'grad.out_2', gradients.get(b))
  }
  golden.done()
}

/** A queue [C, K] of the file as [K, C]. */
export function queueOf(golden: Golden, name: string) {
  const [C = 0, K = 0] = golden.shape(name)
  const values = golden.values(name)
  return {
    values: Float32Array.from({ length: C * K }, (_, i) => values[(i % C) * K + Math.floor(i / C)] ?? NaN),
    K,
    C,
  }
}

/** Compares InfoNCE's loss and its gradient with their case. */
export async function infoNceGolden(gpu: Gpu, golden: Golden) {
  const { values, K, C } = queueOf(golden, 'in.queue')
  const [q, k] = [golden.tensor(gpu, 'in.q_raw'), golden.tensor(gpu, 'in.k_raw')]
  const loss = infoNce(q, k, gpu.tensor(values, [K, C]), temperatureOf(golden))
  await golden.match(gpu, 'out.loss', loss)
  await golden.match(gpu, 'grad.q_raw', gpu.backward(loss).get(q))
}
