// Tests that no dispatch has more than 65,535 workgroups in a dimension, however large its tensors
// are.

import * as assert from 'uvu/assert'
import { conv2d } from '../../kernels/conv/conv2d.ts'
import { convWeightGradient } from '../../kernels/conv/weight-gradient.ts'
import { convForward, convDataGradient } from '../../kernels/conv/forward.ts'
import { gemm } from '../../kernels/matmul/gemm.ts'
import { attend } from '../../kernels/loss/infonce-attend.ts'
import { logSoftmax } from '../../kernels/reduce/log-softmax.ts'
import { nceMapsOp } from '../../kernels/loss/nce-maps.ts'
import { nearestRows } from '../../kernels/knn/nearest-rows.ts'
import { ntXentOp } from '../../kernels/loss/ntxent.ts'
import {
  type Run,
  type Shape,
  type Variable,
  elementwise,
  folded,
  sizeOf,
} from '../../kernels/op.ts'
import { sigLipOp } from '../../kernels/loss/siglip.ts'
import { supConOp } from '../../kernels/loss/supcon.ts'
import { lars } from '../../kernels/optim/update-lars.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { paperRun, tensor } from '../fixtures/paper-run.ts'

const test = gpuSuite('dispatch limits')
const MOST = 65535

test('folded workgroups are enough, few too many, and never too many in a dimension', () => {
  for (const count of [0, 1, MOST, MOST + 1, 2 * MOST + 1, 1e6 + 3, 1e8 + 7]) {
    const [x, y] = folded(count)
    assert.ok(x <= MOST && y <= MOST, `${count}: ${x} x ${y}`)
    assert.ok(x * y >= count && x * y < count + Math.max(1, y), `${count}: ${x} x ${y}`)
  }
  assert.equal(elementwise(64 * MOST + 1), folded(MOST + 1))
})

/** Calls of products and losses on tensors as large as some device may bind. */
const calls: Record<string, (run: Run) => unknown> = {
  'gemm of many rows': (run) => gemm(run, tensor([1 << 26, 1]), tensor([1, 8]), {}),
  'gemm of many columns': (run) => gemm(run, tensor([8, 1]), tensor([1, 1 << 26]), {}),
  'gemm of many batches': (run) => gemm(run, tensor([1 << 24, 1, 1]), tensor([1 << 24, 1, 1]), {}),
  convolutions: (run) => {
    const steps = { stride: [1, 1], padding: [0, 0] } as const
    for (const [C, K, W] of [
      [1, 1 << 25, 1],
      [1 << 25, 1, 1],
      [1, 16, 1 << 24],
      [16, 16, 1 << 24],
    ] as const)
      for (const kW of [1, 3]) {
        const [x, w, y] = [
          tensor([1, 1, W + 2, C]),
          tensor([1, kW, C, K]),
          tensor([1, 1, W + 3 - kW, K]),
        ]
        convForward(run, x, w, y.shape, steps)
        convDataGradient(run, y, w, x, steps)
        convWeightGradient(run, x, y, w.shape, steps)
      }
  },
  infoNce: (run) => attend(run, tensor([1, 1 << 25]), tensor([3, 1]), { scale: 1, inBatch: false }),
  ntXent: (run) => both(run, ntXentOp, { temperature: 1, normalized: false }, [rows, rows]),
  supCon: (run) =>
    both(run, supConOp, { temperature: 1, normalized: false }, [rows, rows, tensor([1 << 25])]),
  sigLip: (run) => both(run, sigLipOp, { normalized: false }, [rows, rows, tensor([]), tensor([])]),
  nceMaps: (run) => both(run, nceMapsOp, { clip: 1, penalty: 1 }, [rows, tensor([1 << 25, 2, 1])]),
  lars: (run) => {
    const flat = variable([64 << 20])
    const layout = {
      owner: variable([1 << 20]),
      settings: variable([1 << 20, 4]),
      ranges: variable([1 << 20, 2]),
    }
    const params = { lr: 1, momentum: 0.9, eta: 1e-3, form: 'simclr', nesterov: false } as const
    lars(run, layout, { weight: flat, grad: flat, velocity: flat }, params)
  },
}

const rows = tensor([1 << 25, 1])
const variable = (shape: Shape): Variable => ({ ...tensor(shape), mutable: true })

/** An op's forward, and its backward with a gradient for every input. */
function both(run: Run, def: unknown, attrs: unknown, inputs: readonly unknown[]) {
  const { forward, backward } = def as Record<
    'forward' | 'backward',
    (...args: unknown[]) => unknown
  >
  const outputs = forward(run, attrs, ...inputs) as readonly unknown[]
  const needs = inputs.map(() => true)
  backward(run, attrs, [tensor([]), ...outputs.slice(1).map(() => null)], inputs, outputs, needs)
}

for (const software of [true, false])
  test(`no size makes a dispatch too wide, on a ${software ? 'CPU' : 'GPU'}`, () => {
    for (const [name, call] of Object.entries(calls)) {
      let widest = 0
      const run = paperRun({ software }, (kernel, { groups }) => {
        for (const count of groups)
          assert.ok((count ?? 1) <= MOST, `${name}: ${kernel.name} ${groups.join()}`)
        widest = Math.max(
          widest,
          groups.reduce<number>((a, b) => a * (b ?? 1), 1),
        )
      })
      call(run)
      assert.ok(widest > MOST, `${name}: at most ${widest} workgroups`)
    }
  })

const ramp = (shape: Shape) => Float32Array.from({ length: sizeOf(shape) }, (_, i) => 1 + (i % 7))

test('the gradient of a weight beyond 65,535 workgroups is right', async ({ gpu }) => {
  for (const [C, K, kW, W] of [
    [1, 8 * MOST + 3, 1, 1],
    [64 * MOST + 5, 1, 1, 1],
    [1, 16 * (MOST + 2), 3, 6],
  ] as const) {
    const [x, w] = [
      gpu.tensor(ramp([1, 1, W, C]), [1, 1, W, C]),
      gpu.tensor(ramp([1, kW, C, K]), [1, kW, C, K]),
    ]
    const y = conv2d(x, w)
    const dy = gpu.tensor(ramp(y.shape), y.shape)
    const got = await gpu.read(gpu.backward(y, dy).of(w) ?? y)
    const [pixels, from] = [W - kW + 1, got.length - 40]
    for (let e = 0; e < got.length; e += e < 40 || e >= from ? 1 : 9973) {
      const [k, c, s] = [e % K, Math.floor(e / K) % C, Math.floor(e / K / C)]
      let expected = 0
      for (let o = 0; o < pixels; o++)
        expected += (1 + (((o + s) * C + c) % 7)) * (1 + ((o * K + k) % 7))
      assert.is(got[e], expected, `dw[${s}, ${c}, ${k}] of [1, ${kW}, ${C}, ${K}]`)
    }
  }
})

test('more lines, queries or parameters than 65,535 are all seen to', async ({ gpu }) => {
  const Q = MOST + 9
  const queries = gpu.tensor(
    Float32Array.from({ length: Q }, (_, i) => (i % 3) - 1),
    [Q, 1],
  )
  const tags = gpu.tensor(Int32Array.of(5, 7), [2])
  const nearest = nearestRows(queries, gpu.tensor([-1, 1], [2, 1]), tags, {
    start: 0,
    end: Q,
    k: 1,
  })
  const found = await gpu.read(nearest.tags)
  for (const i of [0, 1, 2, MOST - 1, MOST, MOST + 1, Q - 1])
    assert.is(found[i], i % 3 === 2 ? 7 : 5, `query ${i}`) // of equals the first
  const y = await gpu.read(logSoftmax(gpu.tensor(ramp([Q * 64]), [Q * 64, 1])))
  assert.ok(y.every((v) => v === 0))
})

test.run()
