import * as assert from 'uvu/assert'
import { kernel } from '../../kernels/op.ts'
import { NodeGpu as Gpu } from '../../engine/node-gpu.ts'
import { openGpu } from '../../engine/node.ts'
import { effectOf } from '../../cli/precision.ts'
import { precisions } from '../../methods/settings/words.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { needing } from '../fixtures/needing.ts'
import { refuses } from '../fixtures/refusal.ts'

const test = gpuSuite('precision')
const onF16 = needing('shader-f16', test)

onF16(
  'a machine is exact unless told otherwise, and tells kernels what it is told',
  async ({ gpu }) => {
    assert.is(gpu.run.precision, 'f32')
    const told = await openGpu({ precision: 'f16x3' })
    assert.is(told.run.precision, 'f16x3')
    assert.is(told.run.f16, true)
    told.destroy()
  },
)

test('an unknown precision is refused, and one that the device has no 16-bit floats for', async ({
  gpu,
}) => {
  // Callers without types can give any text.
  const unknown = { precision: 'bf16' as 'f16' }
  refuses(
    () => new Gpu(gpu.device, unknown),
    "Gpu: precision must be 'f32', 'f16x3' or 'f16', got 'bf16'; did you mean 'f16'?",
  )
  const plain = new Proxy(gpu.device, {
    get: (device, name) => (name === 'features' ? new Set() : Reflect.get(device, name, device)),
  })
  refuses(
    () => new Gpu(plain, { precision: 'f16' }),
    "Gpu: precision 'f16' needs 16-bit floats, and this device was opened without 'shader-f16'; request the feature if its adapter has it, or use precision 'f32'",
  )
})

test('doctor and training tell what a precision does on an adapter', () => {
  const adapters = {
    plain: { software: false, f16: false, matrices: false },
    cpu: { software: true, f16: true, matrices: false },
    halves: { software: false, f16: true, matrices: false },
    tensorCores: { software: false, f16: true, matrices: true },
  }
  const told = Object.values(adapters).map((traits) => precisions.map((p) => effectOf(p, traits)))
  assert.equal(told, [
    ['exact', 'refused: there are no 16-bit floats', 'refused: there are no 16-bit floats'],
    ['exact', 'computes in f32, which a CPU does best', 'computes in f32, which a CPU does best'],
    [
      'exact',
      'computes in f32: there are no tensor cores',
      'computes in f32: there are no tensor cores',
    ],
    [
      'exact',
      "close to f32's digits, on tensor cores",
      'factors rounded to 11 bits, on tensor cores',
    ],
  ])
})

const halve = kernel`
  enable f16;
  @group(0) @binding(0) var<storage, read>       x: array<f32>;
  @group(0) @binding(1) var<storage, read_write> y: array<f16>;
  @compute @workgroup_size(64)
  fn halve(@builtin(global_invocation_id) id: vec3u) {
    if (id.x < arrayLength(&x)) { y[id.x] = f16(x[id.x]); }
  }
`

onF16(
  'an op may keep tensors of f16, two bytes an element, which are read as floats',
  async ({ gpu }) => {
    const values = [0, -0, 1, -2.5, 1 / 3, 65504, 2 ** -14, 2 ** -24, 3 * 2 ** -24]
    const [y] = gpu.run(halve, {
      reads: [gpu.tensor(values, [9])],
      makes: [{ shape: [9], dtype: 'f16' }],
      groups: [1],
    })
    const read = await gpu.read(y)
    assert.equal(
      [...read],
      values.map((v) => (v === 1 / 3 ? 1365 / 4096 : v)),
    )
  },
)

test.run()
