// No kernel indexes beyond an array, or reads workgroup memory that it has not written: what
// openGpu({ robustness: false }) relies on. Each kernel is rewritten so that it reports such an
// index, and begins with NaN in workgroup memory; its results are compared with float64.

import * as assert from 'uvu/assert'
import * as kindred from '../../index.ts'
import type { Activations, Precision } from '../../kernels/op.ts'
import type { Kernels } from '../../engine/traits.ts'
import { type BenchCase, CASES, errorsOf } from '../fixtures/bench-ops.ts'
import { checkedDevice } from '../fixtures/checked-device.ts'
import { checkedWgsl } from '../fixtures/checked-wgsl.ts'
import { quickAndFull } from '../fixtures/full.ts'
import { gpuSuite } from '../fixtures/gpu.ts'

const [test, full] = quickAndFull(gpuSuite('indices of kernels'))

interface Form {
  readonly kernels: Kernels
  readonly precision: Precision
  readonly activations: Activations
}

/** Runs the cases on rewritten kernels. Returns how many indices those check. */
async function check(device: GPUDevice, form: Form, cases: readonly BenchCase[]): Promise<number> {
  const checked = checkedDevice(device)
  const gpu = new kindred.Gpu(checked.device, form)
  const exact = form.precision !== 'f16' && form.activations === 'f32'
  for (const one of cases) {
    const { value, gradient } = await errorsOf(kindred, gpu, one)
    const most = one.tolerance ?? (one.rounds && !exact ? 5e-3 : 1e-5)
    const what = `${one.op} ${one.about ?? ''}`
    assert.ok(value <= most, `${what}: value off by ${value}`)
    assert.ok((gradient ?? 0) <= most, `${what}: gradient off by ${gradient}`)
  }
  assert.equal([...checked.unknown], [])
  assert.equal(await checked.faults(), [])
  gpu.destroy()
  return checked.count()
}

const software: Form = { kernels: 'device', precision: 'f32', activations: 'f32' }
const light = ['add', 'gather', 'sum', 'maxPool', 'slice', 'topK', 'enqueue', 'softmax']

test('lie within their arrays', async ({ gpu }) => {
  const cases = CASES.filter(({ op }) => light.includes(op))
  assert.ok((await check(gpu.device, software, cases)) > 40)
})

test('are found where they do not, and so is workgroup memory that was not written', async ({
  gpu,
}) => {
  const checked = checkedDevice(gpu.device)
  const guest = new kindred.Gpu(checked.device)
  const shift = kindred.kernel`
    @group(0) @binding(0) var<storage, read>       x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    var<workgroup> memory: array<vec2f, 4>;
    fn lower(own: array<f32, 2>, i: u32) -> f32 { return own[i]; }
    @compute @workgroup_size(4)
    fn shift(@builtin(local_invocation_index) thread: u32) {
      var sums = array<vec4f, 2>();
      sums[thread % 3u].x = 1.0;
      let own = array(x[thread + 1u], 2.0);
      y[thread] = lower(own, thread % 2u) + memory[thread].x + sums[0].x;
    }
  `
  const y = guest.run(shift, { reads: [guest.tensor([1, 2, 3, 4])], makes: [[4]], groups: [1] })[0]
  assert.ok([...(await guest.read(y))].every(Number.isNaN))
  assert.equal(await checked.faults(), [
    'shift: sums[thread % 3u], in 1 threads',
    'shift: x[thread + 1u], in 1 threads',
  ])
  guest.destroy()
})

test('are rewritten wherever they stand', () => {
  const rewritten = checkedWgsl(
    `enable f16;
    struct P { own: array<f32, 3> }
    @group(0) @binding(0) var<storage, read_write> y: array<array<vec4f, 2>>;
    fn f(p: P, i: i32) -> P { return p; }
    @compute @workgroup_size(1) fn g(@builtin(local_invocation_index) t: u32) {
      let p = f(P(), 1);
      let inner = y[t][t % 2u];
      y[t][0][t] = p.own[t] + inner[p.own[1] > 0.0];
    }`,
    1,
  )
  assert.is(rewritten.sites.length, 6)
  assert.equal(rewritten.unknown, [])
  assert.match(rewritten.source, /^enable f16;\n/)
})

// Minutes of compiling, from an empty shader cache.
full('lie within their arrays in the kernels of a GPU', async ({ gpu }) => {
  await check(gpu.device, { ...software, kernels: 'gpu' }, CASES)
})

full('lie within their arrays in the kernels for f16 on subgroup matrices', async ({ gpu }) => {
  const form = { kernels: 'matrices', precision: 'f16', activations: 'f16' } as const
  const products = ['matmul', 'conv2d', 'convNorm', 'ntXent', 'infoNce', 'nceMaps', 'sigLip']
  await check(
    gpu.device,
    form,
    CASES.filter(({ op }) => products.includes(op)),
  )
})

test.run()
