import * as assert from 'uvu/assert'
import { crossEntropy } from '../../../kernels/loss/cross-entropy.ts'
import { l2Normalize } from '../../../kernels/reduce/l2-normalize.ts'
import { perLine } from '../../../kernels/wgsl/lines.ts'
import { logSoftmax } from '../../../kernels/reduce/log-softmax.ts'
import { logSumExp } from '../../../kernels/reduce/logsumexp.ts'
import { softmax } from '../../../kernels/reduce/softmax.ts'
import { type Tensor, sizeOf } from '../../../kernels/op.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { random } from '../../fixtures/check.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { runWith } from '../../fixtures/run-with.ts'

const test = gpuSuite('lines')

test('short lines take no more threads than they keep busy', ({ gpu }) => {
  const [cpu, other] = [runWith(gpu, { software: true }), runWith(gpu, { software: false })]
  for (const [run, count, R, lanes, groups] of [
    [cpu, 6240, 65, 1, 98],
    [cpu, 1, 1024, 1, 1],
    [cpu, 3, 1025, 64, 3],
    [other, 6240, 65, 64, 6240],
    [other, 6240, 33, 64, 6240],
    [other, 6240, 10, 16, 1560],
    [other, 6240, 1, 1, 98],
    [other, 4, 0, 1, 1],
    [other, 0, 10, 16, 0],
    [other, 65536, 64, 64, 65536],
  ] as const) {
    const { constants, groups: found } = perLine(run, count, R)
    assert.is(constants.lanes, lanes, `${count} x ${R}: lanes`)
    assert.is(found[0] * found[1], groups, `${count} x ${R}: workgroups`)
  }
})

const ops: readonly (readonly [name: string, apply: (x: Tensor, axis: number) => Tensor])[] = [
  ['logSoftmax', logSoftmax],
  ['logSumExp', logSumExp],
  ['softmax', softmax],
  ['l2Normalize', (x, axis) => l2Normalize(x, { axis })],
]

/** The bits of an op's value and gradient on a machine. */
async function bits(
  gpu: Gpu,
  shape: readonly number[],
  apply: (x: Tensor) => Tensor,
): Promise<string> {
  const x = gpu.tensor(random(sizeOf(shape), 3), shape)
  const y = apply(x)
  const dy = gpu.tensor(random(sizeOf(y.shape), 4), y.shape)
  const dx = gpu.backward(y, dy).of(x) ?? dy
  const [value, gradient] = [await gpu.read(y), await gpu.read(dx)]
  return [value, gradient].map(({ buffer }) => new Int32Array(buffer).join()).join()
}

test('any number of threads a line gives the same bits', async ({ gpu }) => {
  const other = new Gpu(gpu.device, { kernels: 'gpu' })
  for (const R of [1, 2, 7, 16, 33, 64, 65, 130, 1100])
    for (const [shape, axis] of [
      [[5, R], 1],
      [[R, 3], 0],
      [[2, R, R > 100 ? 3 : 35], 1],
    ] as const)
      for (const [name, apply] of ops)
        assert.is(
          await bits(gpu, shape, (x) => apply(x, axis)),
          await bits(other, shape, (x) => apply(x, axis)),
          `${name} of [${shape.join(', ')}] along ${axis}`,
        )
  for (const C of [1, 10, 64, 65, 200]) {
    const labels = Array.from({ length: 70 }, (_, i) => i % C)
    const apply = (x: Tensor) => crossEntropy(x, labels)
    assert.is(
      await bits(gpu, [70, C], apply),
      await bits(other, [70, C], apply),
      `crossEntropy of ${C}`,
    )
  }
  other.destroy()
})

test.run()
