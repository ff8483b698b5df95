// Which kernels a page loads for a device, and what a Gpu does without them.

import * as assert from 'uvu/assert'
import { Gpu } from '../../engine/gpu.ts'
import { kernelsFor } from '../../engine/kernels-for.ts'
import { NodeGpu } from '../../engine/node-gpu.ts'
import { traitsOf } from '../../engine/traits.ts'
import { inF32 } from '../../evaluate/in-f32.ts'
import { cpuForms } from '../../kernels/devices/cpu-forms.ts'
import { onTensorCores } from '../../kernels/devices/matrix-forms.ts'
import { loadedLater } from '../../kernels/loaded-later.ts'
import { ntXent } from '../../kernels/loss/ntxent.ts'
import { matmul } from '../../kernels/matmul/matmul.ts'
import { close, random } from '../fixtures/check.ts'
import { gpuSuite } from '../fixtures/gpu.ts'
import { call, make, refusesAll } from '../fixtures/misuse.ts'
import { needing } from '../fixtures/needing.ts'

const test = gpuSuite('kernels for a device')
const onF16 = needing('shader-f16', test)

/** A GPU with subgroup matrices, on paper. */
const tensorCores = (subgroupMaxSize: number) =>
  ({
    features: new Set([
      ...['shader-f16', 'subgroups', 'subgroup-size-control'],
      'chromium-experimental-subgroup-matrix',
    ]),
    limits: { maxComputeWorkgroupStorageSize: 65536 },
    adapterInfo: {
      ...{ subgroupMinSize: 32, subgroupMaxSize },
      subgroupMatrixConfigs: [
        { componentType: 'f16', resultComponentType: 'f32', M: 16, N: 16, K: 16 },
      ],
    },
    ...{ queue: {}, lost: {} },
  }) as unknown as GPUDevice // what kernelsFor reads

test('tensor cores get their kernels where the precision allows it', async () => {
  for (const [most, chooses] of [
    [32, false],
    [64, true],
  ] as const) {
    const device = tensorCores(most)
    const { forms, precision } = await kernelsFor(device, 'f16')
    assert.is(precision, 'f16')
    assert.equal([...forms], [...onTensorCores(chooses)])
    assert.is((await kernelsFor(device)).forms.size, 0)
  }
})

test('an adapter on the CPU gets its own', async ({ gpu: { device } }) => {
  const { forms } = await kernelsFor(device)
  assert.is(forms.size, traitsOf(device).broadcasts ? cpuForms.size : 0)
})

test('without them a Gpu computes the same, up to the order of sums', async ({ gpu: host }) => {
  const [own, any] = [new NodeGpu(host.device), new Gpu(host.device)]
  assert.is(any.run.forms.size, 0)
  assert.is(any.run.software, host.software)
  const results = []
  for (const gpu of [own, any]) {
    const [z1, z2] = [gpu.tensor(random(260, 1), [13, 20]), gpu.tensor(random(260, 2), [13, 20])]
    const loss = ntXent(z1, z2, 0.5)
    const gradients = gpu.backward(loss)
    results.push([
      ...(await gpu.read(matmul(z1, z2, { transB: true }))),
      ...(await gpu.read(loss)),
      ...(await gpu.read(gradients.of(z1) ?? z1)),
    ])
    gpu.destroy()
  }
  const [left = [], right = []] = results
  close(Float32Array.from(left), right, 1e-5, 'results')
})

onF16('a Gpu that computes in f32 instead has the kernels of the other', ({ gpu: { device } }) => {
  for (const kernels of ['device', 'gpu'] as const) {
    const half = new NodeGpu(device, { precision: 'f16', kernels })
    const { run } = inF32(half)
    assert.is(run.precision, 'f32')
    assert.is(run.forms, half.run.forms)
    assert.is(run.software, half.run.software)
  }
})

test('a part that cannot be loaded is told in words', async () => {
  const gone = () => Promise.reject(new TypeError('Failed to fetch'))
  await refusesAll([
    [
      'no network',
      () => loadedLater('kernelsFor', gone),
      'kernelsFor: a part of the library could not be loaded (Failed to fetch); load the page again',
    ],
  ])
})

test('what is passed wrongly is refused', async ({ gpu: { device } }) => {
  const kernels = 'Gpu: kernels must be what kernelsFor(device) resolves to, got '
  await refusesAll([
    ['no device', () => call(kernelsFor, null), 'kernelsFor: device must be a GPUDevice, got null'],
    [
      'a precision that is none',
      () => call(kernelsFor, device, 'f8'),
      "kernelsFor: precision must be 'f32', 'f16x3' or 'f16', got 'f8'",
    ],
    ['a word', () => make(Gpu, device, { kernels: 'gpu' }), `${kernels}'gpu'`],
    [
      'a promise of kernels',
      () => make(Gpu, device, { kernels: kernelsFor(device) }),
      `${kernels}a promise; await it`,
    ],
    [
      'those of another device',
      async () => make(Gpu, device, { kernels: await kernelsFor(tensorCores(32)) }),
      'Gpu: kernels are those of another device; give await kernelsFor(device, precision)',
    ],
    [
      'those for another precision',
      async () => make(Gpu, device, { kernels: await kernelsFor(device, 'f16') }),
      "Gpu: kernels are those for precision 'f16', and precision is 'f32'; give await kernelsFor(device, 'f32')",
    ],
    [
      'what looks like kernels',
      () => make(Gpu, device, { kernels: { forms: new Map() } }),
      `${kernels}an object with forms`,
    ],
    [
      'no word of Node',
      () => make(NodeGpu, device, { kernels: 'cpu' }),
      "Gpu: kernels must be 'device', 'gpu' or 'matrices', or what kernelsFor(device) resolves to, got 'cpu'",
    ],
  ])
})

test.run()
