// Checks matrix products against float64, then times them in every precision and tile, beside
// PyTorch. `node bench/gemm.js --help` explains the output.

import { uniform } from './lib/random.js'
import { main, productOptions } from './lib/products.js'
import * as kindred from '../dist/node.js'

const flags = productOptions('gemm', 'Time matrix products [M, K] x [K, N].', (command) =>
  command.option(
    '--size <list>',
    'products as MxKxN, separated by commas',
    '512x512x512,1024x1024x1024,4096x4096x4096',
  ),
)

const product = ([M, K, N], transA = false, transB = false) => ({
  name: `${M} x ${K} x ${N}${transA ? ', a transposed' : ''}${transB ? ', b transposed' : ''}`,
  ...{ M, K, N, transA, transB },
})

const [A, B] = [1, 2] // seeds

function reference({ M, K, N, transA, transB }) {
  const [a, b] = [uniform(M * K, A), uniform(K * N, B)]
  const y = new Float64Array(M * N)
  for (let m = 0; m < M; m++)
    for (let k = 0; k < K; k++) {
      const value = a[transA ? k * M + m : m * K + k]
      for (let n = 0; n < N; n++) y[m * N + n] += value * b[transB ? n * K + k : k * N + n]
    }
  return y
}

await main(
  {
    name: 'gemm',
    checks: [
      product([33, 21, 35]),
      product([132, 40, 148]),
      product([68, 300, 36], true, true),
      product([128, 64, 128], false, true),
    ],
    problems: flags.size.split(',').map((text) => product(text.split('x').map(Number))),
    work: ({ M, K, N }) => 2 * M * K * N,
    prepare(gpu, { M, K, N, transA, transB }) {
      const a = gpu.tensor(uniform(M * K, A), transA ? [K, M] : [M, K])
      const b = gpu.tensor(uniform(K * N, B), transB ? [N, K] : [K, N])
      return () => gpu.noGrad(() => kindred.matmul(a, b, { transA, transB }))
    },
    reference,
  },
  flags,
)
