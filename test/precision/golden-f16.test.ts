// PyTorch's numbers in precision f16, by a GPU's kernels, forced on whatever there is.
//
// Factors are rounded to 11 bits, each off by 2^-11 of itself at most, and sums are f32. PyTorch's
// AMP rounds what it stores, too.

import * as assert from 'uvu/assert'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { type Bound, Golden } from '../fixtures/golden.ts'
import {
  conv2dGolden,
  infoNceGolden,
  linearGolden,
  matmulGolden,
  ntXentGolden,
  temperatureOf,
} from '../fixtures/golden-products.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { needing } from '../fixtures/needing.ts'

const [test, full] = quickAndFull(gpuSuite('golden cases in f16'))
const onF16 = needing('shader-f16', test, full)
const quickOnF16 = needing('shader-f16', test)

/** A suite's device, computing in f16 as a GPU with tensor cores does, which are emulated. */
async function inF16(host: Gpu, body: (gpu: Gpu) => Promise<void>) {
  const gpu = new Gpu(host.device, { precision: 'f16', kernels: 'matrices' })
  try {
    await body(gpu)
    await gpu.sync()
  } finally {
    gpu.destroy()
  }
}

const PRODUCT = 2 * 2 ** -11 // of two factors

/** A case's bounds, with another relative error instead of f32's. What is copied or summed is as
 *  exact as ever. */
const within =
  (error: number, exact = /^grad\.bias$/) =>
  (bound: Bound, name: string): Bound => {
    const { rel_l2 = 0, max_abs = 0 } = bound
    if (bound.exact || rel_l2 === 0 || exact.test(name)) return bound
    return { rel_l2: error, max_abs: (max_abs / rel_l2) * error }
  }

const products = {
  conv2d_3x3_s1_p1: conv2dGolden,
  conv2d_3x3_32to32: conv2dGolden,
  matmul_nn: matmulGolden,
  matmul_batched: matmulGolden,
  linear_384_96: linearGolden,
} as const
for (const [name, matches] of Object.entries(products))
  onF16(`${name}: errors of a sum are those of its factors`, ({ gpu }) =>
    inF16(gpu, (half) => matches(half, new Golden(name, within(PRODUCT)))),
  )

quickOnF16('f32 would be told from f16', ({ gpu }) =>
  inF16(gpu, async (half) => {
    const strict = await matmulGolden(half, new Golden('matmul_nn')).then(
      () => null,
      (error: Error) => error.message,
    )
    assert.match(String(strict), /^matmul_nn out\.y/)
  }),
)

// A logit of unit rows is off by PRODUCT / T at most: so is the loss, where two differ twice that,
// and weights and gradient in relation.
for (const name of [
  'ntxent_B33_D20_t0.05',
  'ntxent_google_B12_D32_t0.1',
  'moco_infonce_N8_K96_T0.2',
])
  onF16(`${name}: errors are those of the logits`, ({ gpu }) =>
    inF16(gpu, (half) => {
      const error = (2 * PRODUCT) / temperatureOf(new Golden(name))
      const judge = ({ exact }: Bound, what: string): Bound =>
        exact
          ? { exact }
          : what.startsWith('out.loss')
            ? { max_abs: error }
            : what === 'out.google_loss'
              ? { max_abs: 2 * error }
              : { rel_l2: error }
      return (name.startsWith('moco') ? infoNceGolden : ntXentGolden)(half, new Golden(name, judge))
    }),
  )

test.run()
