// Compiles every GPU kernel with Dawn's null backend, which computes nothing and supports subgroup
// matrices.

import * as assert from 'uvu/assert'
import { type Kernel, type Run, sizeOf } from '../../../kernels/op.ts'
import { onTensorCores } from '../../../kernels/devices/matrix-forms.ts'
import { tilesFor } from '../../../kernels/tiles/plan.ts'
import type { Gpu } from '../../../engine/gpu.ts'
import { suite } from 'uvu'
import { everyProduct } from '../../fixtures/every-product.ts'
import { nullGpu } from '../../fixtures/null-gpu.ts'
import { machines } from '../../fixtures/machines.ts'
import { runWith } from '../../fixtures/run-with.ts'

const test = suite<{ gpu: Gpu }>('tiles compile')
test.before(async (context) => {
  context.gpu = await nullGpu()
})
test.after((context) => context.gpu.destroy())

const dispatchAll = (gpu: Gpu, run: Run) =>
  everyProduct(run, (shape) => gpu.tensor(new Float32Array(sizeOf(shape)), shape))

/** The kernels that are run with these traits, compiled and bound. */
async function kernelsOf(
  gpu: Gpu,
  traits: Parameters<typeof runWith>[1],
): Promise<ReadonlySet<Kernel>> {
  const kernels = new Set<Kernel>()
  const run = runWith(gpu, { ...machines.gpu, ...traits })
  const watched = Object.assign((...[kernel, dispatch]: Parameters<Run>) => {
    if (!/^(sumSplits|widenImages|narrowImages)$/.test(kernel.name)) kernels.add(kernel)
    return run(kernel, dispatch)
  }, run)
  dispatchAll(gpu, watched)
  await gpu.sync()
  return kernels
}

for (const [precision, matrices, activations, choosesSubgroups = false] of [
  ['f32', false, 'f32'],
  ['f32', false, 'f16'],
  ['f16', false, 'f32'],
  ['f16', true, 'f32'],
  ['f16', true, 'f16'],
  ['f16', true, 'f16', true],
  ['f16x3', true, 'f32'],
  ['f16x3', true, 'f32', true],
] as const)
  test(`${precision} ${matrices ? 'on subgroup matrices' : 'in registers'}${choosesSubgroups ? ' of subgroups of 32 among others' : ''}, images in ${activations}: every form and tile that fits`, async ({
    gpu,
  }) => {
    const forms = matrices ? onTensorCores(choosesSubgroups) : new Map()
    const traits = { precision, matrices, forms, activations }
    for (const way of tilesFor(runWith(gpu, traits)).keys()) {
      const kernels = await kernelsOf(gpu, {
        ...traits,
        race: (_name, _ways, _guess, compute) => compute(way),
      })
      for (const { name, source } of kernels) {
        assert.is(source.includes('enable chromium_experimental_subgroup_matrix'), matrices, name)
        assert.is(source.includes('enable f16'), matrices, name)
        assert.is(source.includes('@compute @subgroup_size(32) '), choosesSubgroups, name)
      }
    }
  })

test('the largest tile of matrices is valid WGSL, though this device has not the memory for it', async ({
  gpu,
}) => {
  for (const precision of ['f16', 'f16x3'] as const) {
    const big = runWith(gpu, {
      ...machines.gpu,
      precision,
      ...{ matrices: true, forms: onTensorCores(false) },
      workgroupBytes: 1 << 16,
    })
    const sources = new Set<string>()
    const none = gpu.tensor([0], [1])
    const run = Object.assign(
      ({ source }: Kernel) => {
        sources.add(source)
        return [none]
      },
      big,
      {
        race: <T>(_name: string, _ways: number, _guess: number, compute: (way: number) => T) =>
          compute(0),
      },
    )
    dispatchAll(gpu, run) // it makes no tensors of their own: nothing is computed
    assert.ok(sources.size > 8)
    for (const code of sources) {
      gpu.device.pushErrorScope('validation')
      const module = gpu.device.createShaderModule({ code })
      const { messages } = await module.getCompilationInfo()
      assert.is(await gpu.device.popErrorScope(), null, messages.map((m) => m.message).join())
      if (!code.includes('sumSplits')) assert.match(code, /const tall = 4u/)
    }
  }
})

test('no var in WGSL goes without a value: Dawn does not clear it when a loop comes round', async ({
  gpu,
}) => {
  for (const precision of ['f32', 'f16x3'] as const)
    for (const { source } of await kernelsOf(gpu, {
      ...{ precision, matrices: true, forms: onTensorCores(false) },
    })) {
      assert.match(source, /^\s*var \w+/m)
      assert.is(/^\s*var \w+\s*(?::[^=;]*)?;/m.test(source), false, source)
    }
})

test.run()
