// Tests kernels for machines other than a software adapter: tensor cores (emulated, and compiled
// for real without a device), and devices with no more than WebGPU's default limits.

import * as assert from 'uvu/assert'
import { create } from 'webgpu'
import {
  type Kernel,
  type Op,
  type Run,
  type Tensor,
  type TensorList,
  sizeOf,
} from '../../../kernels/op.ts'
import { infoNceOp } from '../../../kernels/loss/infonce.ts'
import { nceMapsOp } from '../../../kernels/loss/nce-maps.ts'
import { ntXentOp } from '../../../kernels/loss/ntxent.ts'
import { sigLipOp } from '../../../kernels/loss/siglip.ts'
import { supConOp } from '../../../kernels/loss/supcon.ts'
import { NodeGpu as Gpu } from '../../../engine/node-gpu.ts'
import { Pipelines } from '../../../engine/pipelines.ts'
import { checkOp, random } from '../../fixtures/check.ts'
import { quickAndFull } from '../../fixtures/full.ts'
import { gpuSuite } from '../../fixtures/gpu.ts'
import { needing } from '../../fixtures/needing.ts'
import { contrastiveLosses, spreads } from '../../fixtures/nan-losses.ts'
import { nullGpu } from '../../fixtures/null-gpu.ts'
import { dot, logSumExp, meanOf, unitRows } from '../../fixtures/similarities.ts'
import { variants } from '../../fixtures/variants.ts'
import { cpuForms } from '../../../kernels/devices/cpu-forms.ts'
import { onTensorCores } from '../../../kernels/devices/matrix-forms.ts'

const [test, full] = quickAndFull(gpuSuite('tiles of other machines'))
const onF16 = needing('shader-f16', test, full)

// A logit of two unit rows rounded to f16, 11 bits, is off by at most 2 x 2^-11 / T, and so is the
// loss.
const toleranceOf = (variant: string, T: number) => (variant.endsWith('f16x3') ? 1e-4 : 1e-3 / T)

for (const [variant, apply] of variants(ntXentOp, ['f16x3', 'f16', 'f16 without matrices']).slice(
  1,
))
  for (const [N, D, T] of [
    [3, 7, 0.5],
    [33, 65, 0.2],
    [100, 40, 0.1],
  ] as const)
    onF16(`ntXent, N = ${N}, D = ${D}, T = ${T}${variant}`, ({ gpu }) => {
      const reference = (z1: number[], z2: number[]) => {
        const rows = unitRows([...z1, ...z2], D)
        const losses = rows.map((row, i) => {
          const s = rows.map((other) => dot(row, other) / T)
          return logSumExp(s.filter((_, j) => j !== i)) - (s[(i + N) % (2 * N)] ?? NaN)
        })
        return [meanOf(losses)]
      }
      const shapes = [
        [N, D],
        [N, D],
      ]
      const op = (a: Tensor, b: Tensor) => apply({ temperature: T, normalized: false }, a, b)
      return checkOp(gpu, op, reference, shapes, {
        tolerance: toleranceOf(variant, T),
      })
    })

for (const [variant, apply] of variants(infoNceOp, ['f16']).slice(1))
  for (const [N, C, K, T] of [
    [3, 7, 5, 0.2],
    [65, 70, 1100, 0.1],
  ] as const)
    onF16(`infoNce, N = ${N}, C = ${C}, K = ${K}, T = ${T}${variant}`, ({ gpu }) => {
      const scaled = Float32Array.from(unitRows(random(K * C, 3), C).flat())
      const negatives = unitRows([...scaled], C, true)
      const reference = (q: number[], k: number[]) => {
        const [queries, keys] = [unitRows(q, C), unitRows(k, C)]
        const losses = queries.map((row, n) => {
          const s = [keys[n] ?? [], ...negatives].map((key) => dot(row, key) / T)
          return logSumExp(s) - (s[0] ?? NaN)
        })
        return [meanOf(losses)]
      }
      const shapes = [
        [N, C],
        [N, C],
      ]
      const queue = gpu.tensor(scaled, [K, C])
      const op = (q: Tensor, k: Tensor) =>
        apply({ temperature: T, normalized: false, inBatch: false }, q, k, queue)
      return checkOp(gpu, op, reference, shapes, {
        tolerance: toleranceOf(variant, T),
        differentiate: [true, false],
      })
    })

onF16('f16 rounds, and f16x3 hardly', async ({ gpu }) => {
  const [N, D] = [33, 65]
  const [a, b] = [gpu.tensor(random(N * D, 1), [N, D]), gpu.tensor(random(N * D, 2), [N, D])]
  const attrs = { temperature: 0.2, normalized: false }
  const losses = variants(ntXentOp, ['f16x3', 'f16']).map(([, apply]) =>
    gpu.read(apply(attrs, a, b)),
  )
  const [exact = NaN, split = NaN, half = NaN] = (await Promise.all(losses)).map(([loss]) => loss)
  assert.ok(Math.abs(split - exact) < 2e-6, `${split} for ${exact}`)
  assert.ok(half !== exact && Math.abs(half - exact) < 1e-3, `${half} for ${exact}`)
})

for (const [name, others] of [
  ['ntXent', ['f16x3', 'f16']],
  ['infoNce', ['f16']],
] as const)
  for (const [variant, apply] of contrastiveLosses[name].by(others).slice(1))
    onF16(`${name}: NaN in any input makes the loss and its gradients NaN${variant}`, ({ gpu }) =>
      spreads(gpu, contrastiveLosses[name], apply),
    )

/** The kernels of an op, forward and backward, on a machine with other traits. */
function kernelsOf<In extends TensorList, Out extends TensorList, A>(
  gpu: Gpu,
  traits: Partial<Run>,
  op: Op<In, Out, A>,
  attrs: A,
  inputs: In,
) {
  const found = new Set<Kernel>()
  const noting = (...[kernel, { makes = [] }]: Parameters<Run>) => {
    found.add(kernel)
    return makes.map((make) => {
      const shape = 'shape' in make ? make.shape : make
      return gpu.tensor(new Float32Array(sizeOf(shape)), shape)
    })
  }
  const run = Object.assign(noting, gpu.run, traits)
  const outputs = op.forward(run, attrs, ...inputs)
  op.backward?.(
    run,
    attrs,
    [gpu.tensor([1], [])],
    inputs,
    outputs,
    inputs.map(() => true),
  )
  return [...found]
}

test('every kernel is valid WGSL for tensor cores', async () => {
  const nothing = await nullGpu() // it has the feature, though not the workgroup memory that pipelines would need
  const z = nothing.tensor(random(12, 1), [4, 3])
  const maps = nothing.tensor(random(24, 2), [4, 2, 3])
  const [labels, scalar] = [nothing.tensor([0, 1, 1, 0], [4]), nothing.tensor([1], [])]
  const attrs = { temperature: 0.5, normalized: false }
  const names = new Set<string>()
  for (const precision of ['f16', 'f16x3'] as const) {
    const traits = {
      ...{ software: false, matrices: true, precision },
      forms: onTensorCores(false),
    }
    for (const { name, source } of [
      ...kernelsOf(nothing, traits, ntXentOp, attrs, [z, z]),
      ...kernelsOf(nothing, traits, infoNceOp, { ...attrs, inBatch: false }, [z, z, z]),
      ...kernelsOf(nothing, traits, supConOp, attrs, [z, z, labels]),
      ...kernelsOf(nothing, traits, sigLipOp, attrs, [z, z, scalar, scalar]),
      ...kernelsOf(nothing, traits, nceMapsOp, { clip: 20, penalty: 0.05 }, [z, maps]),
    ]) {
      const { messages } = await nothing.device
        .createShaderModule({ code: source })
        .getCompilationInfo()
      assert.equal(
        messages.map((m) => `${name}:${m.lineNum}: ${m.message}`),
        [],
      )
      if (source.includes('chromium_experimental_subgroup_matrix'))
        names.add(`${precision} ${name}`)
    }
  }
  assert.is(names.size, 18, [...names].join(', '))
  nothing.destroy()
})

test('a CPU adapter computes in f32 whatever the precision, with lanes or without', ({ gpu }) => {
  const z = gpu.tensor(random(12, 1), [4, 3])
  const attrs = { temperature: 0.5, normalized: false }
  for (const forms of [new Map(), cpuForms])
    for (const precision of ['f16', 'f16x3'] as const) {
      const traits = { software: true, forms, precision }
      for (const { name, source } of [
        ...kernelsOf(gpu, traits, ntXentOp, attrs, [z, z]),
        ...kernelsOf(gpu, traits, infoNceOp, { ...attrs, inBatch: false }, [z, z, z]),
      ])
        assert.not.match(source, /f16/, name)
    }
})

test("a GPU's kernels fit WebGPU's default limits", async () => {
  const instance = create([])
  alive.push(instance)
  const device = await (await instance.requestAdapter())?.requestDevice()
  if (!device) throw new Error('no adapter')
  const gpu = new Gpu(device, { kernels: 'gpu', ownsDevice: true })
  const z = gpu.tensor(random(12, 1), [4, 3])
  const maps = gpu.tensor(random(24, 2), [4, 2, 3])
  const [labels, scalar] = [gpu.tensor([0, 1, 1, 0], [4]), gpu.tensor([1], [])]
  const attrs = { temperature: 0.5, normalized: false }
  const pipelines = new Pipelines(
    device,
    (error) => errors.push(error),
    () => false,
  )
  const errors: Promise<unknown>[] = []
  for (const kernel of [
    ...kernelsOf(gpu, {}, ntXentOp, attrs, [z, z]),
    ...kernelsOf(gpu, {}, infoNceOp, { ...attrs, inBatch: false }, [z, z, z]),
    ...kernelsOf(gpu, {}, supConOp, attrs, [z, z, labels]),
    ...kernelsOf(gpu, {}, sigLipOp, attrs, [z, z, scalar, scalar]),
    ...kernelsOf(gpu, {}, nceMapsOp, { clip: 20, penalty: 0.05 }, [z, maps]),
  ])
    pipelines.get(kernel)
  assert.is(pipelines.size, 22)
  assert.equal(
    (await Promise.all(errors)).map(String),
    Array.from({ length: 22 }, () => 'null'),
  )
  gpu.destroy()
})

const alive: unknown[] = [] // Node crashes when Dawn's instance is collected while its device is used

test.run()
