// A program that computes on a device with default limits and no optional feature, by Dawn in Node
// or by wgpu in Deno, and prints one line of JSON. test/wgpu/wgpu.test.ts reads it.
//
//   node story.js ops|methods [NAME,NAME]
//   deno run --allow-all --unstable-webgpu story.js ops|methods [NAME,NAME]

import process from 'node:process'
import * as kindred from '../../index.ts'
import { cifarRecipe } from '../../kernels/augment/recipes.ts'
import type { Tensor } from '../../kernels/op.ts'
import type { Gpu } from '../../engine/gpu.ts'
import { instanceFor } from '../../engine/node.ts'
import { Sgd } from '../../engine/optim/optimizer.ts'
import { constant } from '../../engine/optim/schedule.ts'
import { reasonOf } from '../../kernels/reason-of.ts'
import type { ImageBatch } from '../../methods/image-batch.ts'
import { simclr } from '../../methods/simclr.ts'
import { parametersOf } from '../../models/tower.ts'
import { type BenchCase, CASES, errorsOf } from '../fixtures/bench-ops.ts'
import { S, batch, makers } from '../fixtures/chunked-methods.ts'
import { network } from '../fixtures/small-network.ts'

/** What the story prints. */
export interface Story {
  /** Optional features of the device, and limits above WebGPU's defaults. */
  readonly features: readonly string[]
  readonly workgroupBytes: number
  /** How many cases of ops were compared with float64, and which differ. */
  readonly cases?: number
  readonly wrong?: readonly string[]
  /** The first losses of each method. */
  readonly losses?: Readonly<Record<string, readonly number[]>>
}

const [, , part, names] = process.argv
const onWgpu = 'Deno' in globalThis
const isWanted = (name: string) => names === undefined || names.split(',').includes(name)

/** Cases whose kernels differ from another case's in sizes alone, and take wgpu's compiler and
 *  lavapipe a quarter of a minute each. */
const twins = ['attention, causal', 'attention, of heads of 7']

const STEPS = 10
const BATCH = 64
const LR = 1e-3

/** Opens a Gpu with what every device has. */
async function openBare(): Promise<Gpu> {
  const entry = onWgpu ? navigator.gpu : await dawn()
  const adapter = await entry.requestAdapter()
  if (!adapter) throw new Error('there is no adapter')
  return new kindred.Gpu(await adapter.requestDevice(), { ownsDevice: true })
}

const dawn = async () => instanceFor((await import('webgpu')).create, [])

/** Every op and loss, value and gradient, against float64. */
async function ops(gpu: Gpu) {
  const wrong: string[] = []
  const whatOf = ({ op, about }: BenchCase) => [op, about].filter(Boolean).join(', ')
  const cases = CASES.filter((one) => isWanted(one.op) && !(onWgpu && twins.includes(whatOf(one))))
  for (const one of cases) {
    const what = whatOf(one)
    try {
      const { value, gradient } = await errorsOf(kindred, gpu, one)
      const most = one.tolerance ?? 1e-5
      if (!(value <= most && (gradient ?? 0) <= most)) wrong.push(`${what}: ${value}, ${gradient}`)
    } catch (error) {
      wrong.push(`${what}: ${reasonOf(error)}`)
    }
  }
  return { cases: cases.length, wrong }
}

/** The first losses of SimCLR and of all others, on small networks and drawn images. */
async function losses(gpu: Gpu) {
  const how = { normed: true, schedule: constant(LR) }
  const found: Record<string, number[]> = {}
  for (const [name, make] of Object.entries({ SimCLR: simclrOf, ...makers })) {
    if (!isWanted(name)) continue
    const { step } = make(gpu, how)
    const own: number[] = []
    for (let t = 0; t < STEPS; t++)
      own.push((await gpu.read(step(batch(BATCH, t), BATCH)))[0] ?? NaN)
    found[name] = own
  }
  return { losses: found }
}

function simclrOf(gpu: Gpu, { schedule }: { readonly schedule: (t: number) => number }) {
  const { encoder, head } = network(gpu, true)
  const optimizer = new Sgd(parametersOf({ encoder, head }), { momentum: 0.9 })
  const given = { encoder, head, optimizer, schedule, views: cifarRecipe(S), temperature: 0.5 }
  const method = simclr(gpu, { ...given, batchNorm: 'joint' })
  const step = (x: ImageBatch, _N: number): Tensor => method.step(x)
  return { step }
}

const gpu = await openBare()
const { features, limits } = gpu.device
const own = part === 'ops' ? await ops(gpu) : await losses(gpu)
const story: Story = {
  features: [...features].filter((name) => name !== 'core-features-and-limits'),
  workgroupBytes: limits.maxComputeWorkgroupStorageSize,
  ...own,
}
console.log(JSON.stringify(story))
process.exit(0)
