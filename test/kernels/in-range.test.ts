// No kernel indexes beyond an array, or reads workgroup memory that it has not written: what
// openGpu({ robustness: false }) relies on. Each kernel is rewritten so that it reports such an
// index, and begins with NaN in workgroup memory; its results are compared with float64.

import * as assert from 'uvu/assert'
import * as kindred from '../../index.ts'
import { nearestRows } from '../../kernels/knn/nearest-rows.ts'
import { rowsAbove } from '../../kernels/knn/rows-above.ts'
import { countNonFinite } from '../../kernels/reduce/non-finite.ts'
import { random } from '../fixtures/check.ts'
import { checkedDevice } from '../fixtures/checked-device.ts'
import { checkedWgsl } from '../fixtures/checked-wgsl.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { casesOf, checkCases, checkRun, onGpu } from '../fixtures/in-range.ts'

const test = gpuSuite('indices of kernels')

const light = ['add', 'gather', 'sum', 'maxPool', 'slice', 'topK', 'enqueue', 'softmax']

test('lie within their arrays', async ({ gpu }) => {
  const software = { ...onGpu, kernels: 'device' } as const
  assert.ok((await checkCases(gpu.device, software, casesOf(light))) > 40)
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
      let inner = y[t][t % 3u];
      y[t][0][t] = p.own[t] + inner[p.own[1] > 0.0];
    }`,
    1,
  )
  assert.is(rewritten.sites.length, 6)
  assert.equal(rewritten.unknown, [])
  assert.match(rewritten.source, /^enable f16;\n/)
})

test('are left alone where a loop proves them, and there alone', () => {
  const { sites } = checkedWgsl(
    `const N = 2u;
    @group(0) @binding(0) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(1) fn g(@builtin(local_invocation_index) t: u32) {
      var own = array<vec4f, 2>();
      for (var i = 0u; i < N; i++) { own[i][t % 4u] = own[i / 2u][t % 5u]; }
      for (var i = 0u; i < 5u; i++) { own[i / 2u].x = own[i / 3u].x; }
      for (var i = 0u; i < 2u; i++) { own[i].x = 1.0; i += t; }
      for (var i = t; i < 2u; i++) { own[i].x = 1.0; }
      for (var i = 0u; i < t; i++) { own[i].x = y[i]; }
    }`,
    1,
  )
  assert.equal(sites, ['own[i / 2u][t % 5u]', 'own[i / 2u]', 'own[i]', 'own[i]', 'own[i]', 'y[i]'])
})

// What is no op of the library: 70 rows are more than a workgroup has threads.
test('lie within their arrays where rows are searched and numbers counted', async ({ gpu }) => {
  const values = random(70 * 8, 3)
  const [dot, order] = [
    (i: number, j: number) =>
      Array.from({ length: 8 }, (_, c) => (values[i * 8 + c] ?? 0) * (values[j * 8 + c] ?? 0)),
    Array.from({ length: 70 }, (_, i) => i),
  ]
  const similar = (i: number, j: number) => dot(i, j).reduce((a, b) => a + b, 0)
  await checkRun(gpu.device, onGpu, async (guest) => {
    const rows = guest.tensor(values, [70, 8])
    const tags = guest.tensor(Int32Array.from(order), [70])
    for (const bounded of [false, true]) {
      const how = { bounded, threads: bounded ? 8 : 64 }
      const found = nearestRows(rows, rows, tags, { start: 60, end: 67, k: 5, ...how })
      const nearest = [...(await guest.read(found.tags))]
      for (const [q, i] of [60, 61, 62, 63, 64, 65, 66].entries()) {
        const best = order.toSorted((a, b) => similar(i, b) - similar(i, a)).slice(0, 5)
        assert.equal(new Set(nearest.slice(q * 5, q * 5 + 5)), new Set(best))
      }
    }
    const above = rowsAbove(rows, { start: 1, end: 4, threshold: 0, room: 3 })
    const counts = [...(await guest.read(above.counts))]
    const later = (i: number) => order.filter((j) => j > i && similar(i, j) >= 0).length
    assert.equal(counts, [1, 2, 3].map(later))
    const words = guest.variable([0, 0, 0, 0], [4])
    countNonFinite(guest.run, guest.tensor(values.with(500, NaN), [70, 8]), words, 0)
    const seen = new Uint32Array((await guest.read(words)).buffer)
    assert.equal([...seen], [1, 0, 60, 0]) // one NaN, the first of them 60 before the end
  })
})

test.run()
