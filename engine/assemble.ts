// Makes the parts of a Gpu and connects them.

import type { Machine, Run, Shape, Tensor, Values } from '../kernels/op.ts'
import type { Parts } from './apply.ts'
import { Tuner } from './autotune.ts'
import { Commands } from './commands.ts'
import { dispatcher } from './dispatch.ts'
import { Reports } from './errors.ts'
import type { GpuOptions } from './gpu-rules.ts'
import { Lifetime } from './lifetime.ts'
import { Memory } from './memory.ts'
import { Pipelines } from './pipelines.ts'
import { Reads } from './reads.ts'
import { Steps } from './steps.ts'
import { Tape } from './tape.ts'
import { Tensors } from './tensors.ts'
import { type Settings, settingsOf } from './traits.ts'

/** The parts of one Gpu. */
export interface Assembly extends Parts {
  readonly software: boolean
  readonly lifetime: Lifetime
  readonly commands: Commands
  readonly pipelines: Pipelines
  readonly steps: Steps
  readonly reads: Reads
  readonly tuner: Tuner
  /** Everything but a step's inputs that decides which commands ops give. Throws
   *  DeviceLostError. */
  settings(): object
}

/** The parts of a Gpu on this device, whose tensors name `gpu`. Throws Error when the device lacks
 *  what the precision takes. */
export function assemble(gpu: Machine, device: GPUDevice, options: GpuOptions): Assembly {
  const { ownsDevice = false, onWait = () => () => {} } = options
  const { precision = 'f32', activations = 'f32', kernels = 'device' } = options
  const traits = settingsOf(device, { precision, activations, kernels })
  const lifetime = new Lifetime(device, ownsDevice)
  const reports = new Reports()
  const commands = new Commands(device, reports.watch, () => lifetime.check())
  const memory = new Memory(device, reports.watch, (ids) => commands.forget(ids))
  const pipelines = new Pipelines(device, reports.watch)
  const tensors = new Tensors(gpu, memory, commands, device.limits.maxStorageBufferBindingSize)
  const steps = new Steps(memory, commands, tensors)
  const reads = new Reads({ commands, tensors, steps, reports, onWait })
  const flush = () => commands.flush()
  const scratch = (body: () => unknown) => void memory.scope(body, () => [])
  const tuner = new Tuner(device, flush, scratch, (cause) => reads.explain(cause))
  const run = runOf(dispatcher({ commands, pipelines, tensors }), { tensors, tuner, traits })
  const tape = new Tape()
  const settings = () => {
    lifetime.check()
    return { ...run, tapePaused: tape.paused }
  }
  const work = { memory, tensors, tape, wanted: new WeakSet<Tensor>(), run }
  const machinery = { lifetime, commands, pipelines, steps, reads, tuner, settings }
  return { software: traits.software, ...work, ...machinery }
}

interface Running {
  readonly tensors: Tensors
  readonly tuner: Tuner
  readonly traits: Settings
}

/** What ops run kernels with. */
const runOf = (dispatch: ReturnType<typeof dispatcher>, { tensors, tuner, traits }: Running): Run =>
  Object.assign(dispatch, {
    view: (x: Tensor, shape: Shape) => tensors.view(x, shape),
    tensor: (values: Values, shape?: Shape) => tensors.upload(values, shape),
    race: tuner.race,
    ...traits,
  }) as Run // the dispatch's types are checked at each call; here they are erased
