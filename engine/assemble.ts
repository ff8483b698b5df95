// Makes the parts of a Gpu and connects them.

import type { Machine, Run, Shape, Tensor, Values } from '../kernels/op.ts'
import type { GpuParts } from './apply.ts'
import { Tuner } from './autotune.ts'
import { Commands } from './commands.ts'
import { DeviceKernels } from './device-kernels.ts'
import { dispatcher } from './dispatch.ts'
import { Reports } from './errors.ts'
import type { GpuOptions } from './gpu-rules.ts'
import { Lifetime } from './lifetime.ts'
import { Memory } from './memory.ts'
import type { Discard } from './memory/pool.ts'
import { Observing } from './observe.ts'
import { Pipelines } from './pipelines.ts'
import { Reads } from './reads.ts'
import { StepRunner } from './steps.ts'
import { Tape } from './tape.ts'
import { Tensors } from './tensors.ts'
import { type KernelSettings, kernelSettings } from './traits.ts'

/** The parts of one Gpu. */
export interface Assembly extends GpuParts {
  readonly software: boolean
  readonly ownsDevice: boolean
  readonly lifetime: Lifetime
  readonly commands: Commands
  readonly pipelines: Pipelines
  readonly steps: StepRunner
  readonly reads: Reads
  readonly tuner: Tuner
  /** Returns the settings that, with a step's inputs, decide which commands ops give. Throws
   *  DeviceLostError. */
  settings(): object
}

/** Makes the parts of `gpu`, which all tensors refer to, on this device. Throws Error when the
 *  device does not support the precision. */
export function assemble(gpu: Machine, device: GPUDevice, options: GpuOptions): Assembly {
  const { ownsDevice = false, onWait = () => () => {}, budget = null } = options
  const {
    precision = 'f32',
    activations = 'f32',
    kernels = new DeviceKernels({ device }),
  } = options
  const traits = kernelSettings(device, { precision, activations, kernels })
  const lifetime = new Lifetime(device, ownsDevice)
  const reports = new Reports()
  const commands = new Commands(device, reports.watch, () => lifetime.check(), onWait)
  commands.submissions.budget = budget
  const memory = new Memory(device, reports.watch, discarding(commands))
  const pipelines = new Pipelines(device, reports.watch, () => commands.submissions.budget !== null)
  const observing = new Observing()
  const most = device.limits.maxStorageBufferBindingSize
  const tensors = new Tensors(gpu, memory, commands, () => (observing.isDry ? Infinity : most))
  const steps = new StepRunner({ memory, commands, tensors, observing })
  const reads = new Reads({ commands, tensors, steps, reports, onWait })
  const finish = () => commands.finish()
  const scratch = (body: () => unknown) => void memory.scope(body, () => [])
  const tuner = new Tuner(device, finish, scratch, (cause) => reads.explain(cause))
  const dispatch = dispatcher({ commands, pipelines, tensors, observing })
  const run = runOf(dispatch, { tensors, tuner, traits })
  const tape = new Tape()
  const settings = () => {
    lifetime.check()
    return { ...run, noGrad: tape.paused }
  }
  const work = { memory, tensors, tape, requiresGrad: new WeakSet<Tensor>(), run, observing }
  const machinery = { lifetime, commands, pipelines, steps, reads, tuner, settings }
  const assembly = { software: traits.software, ownsDevice, ...work, ...machinery }
  assemblies.set(gpu, assembly)
  return assembly
}

/** Counts the work of a Gpu since the start, and the bytes of its buffers alive now. */
export function statsOf({ commands, memory, reads, pipelines }: Assembly) {
  const buffers = memory.made + reads.made
  return { ...commands.counts, buffers, pipelines: pipelines.size, bytes: memory.bytes }
}

/** Ends the use of a Gpu, and frees its buffers, and its device if the Gpu owns it. */
export function endOf({ lifetime, ownsDevice, ...parts }: Assembly) {
  lifetime.end('this Gpu was destroyed')
  for (const part of [parts.commands, parts.memory, parts.pipelines, parts.reads]) part.destroy()
  if (ownsDevice) parts.commands.device.destroy()
}

/** Makes the function that discards blocks: it drops their bind groups, and destroys their
 *  buffers. */
const discarding =
  ({ bindGroups, submissions }: Commands): Discard =>
  (blocks, isOwn) => {
    bindGroups.forget(new Set(blocks.map(({ id }) => id)))
    if (!isOwn) return
    submissions.call(() => {
      for (const { buffer } of blocks) buffer.destroy()
    })
  }

const assemblies = new WeakMap<Machine, Assembly>()

/** Returns the parts of a Gpu. Throws DeviceLostError if it was lost or destroyed. */
export function partsOf(gpu: Machine): Assembly {
  const parts = assemblies.get(gpu)
  if (!parts) throw new TypeError('a Gpu is needed, as openGpu() resolves to')
  parts.lifetime.check()
  return parts
}

interface Running {
  readonly tensors: Tensors
  readonly tuner: Tuner
  readonly traits: KernelSettings
}

/** Makes the function by which ops run kernels. */
const runOf = (dispatch: ReturnType<typeof dispatcher>, { tensors, tuner, traits }: Running): Run =>
  Object.assign(dispatch, {
    view: (x: Tensor, shape: Shape) => tensors.view(x, shape),
    tensor: (values: Values, shape?: Shape) => tensors.upload(values, shape),
    race: tuner.race,
    ...traits,
  }) as Run // TypeScript cannot follow the types through Object.assign
