// A trainer's state in a checkpoint: models by torchvision's names, the key encoder with the prefix
// `key.`, the optimizer with `optimizer.`, a queue or a bank, and counters in the metadata.

import type { Gpu } from '../engine/gpu.ts'
import { restore, snapshot } from '../engine/checkpoint.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import type { Saved, Trainer } from '../methods/entry.ts'
import { loadModel, saveModel } from '../models/state.ts'

/** A checkpoint's tensors and metadata. */
export interface State {
  readonly tensors: ReadonlyMap<string, SavedTensor>
  readonly metadata: Readonly<Record<string, string>>
}

const OPTIMIZER = 'optimizer.'

/** Copies the whole state of a trainer. A run resumes from it to the same bits. */
export async function saveTrainer(gpu: Gpu, trainer: Trainer): Promise<State> {
  const { encoder, head, optimizer, state, kept } = trainer
  const tensors = new Map<string, SavedTensor>([
    ...(await saveModel(gpu, encoder)),
    ...(await saveModel(gpu, head)),
    ...(await snapshot(gpu, kept.variables)),
  ])
  for (const [prefix, model] of Object.entries(kept.models))
    for (const [name, saved] of await saveModel(gpu, model)) tensors.set(prefix + name, saved)
  for (const [role, saved] of await snapshot(gpu, optimizer.state))
    tensors.set(OPTIMIZER + role, saved)
  const counters = Object.entries(kept.counters).map(([name, { read }]) => [name, String(read())])
  const metadata = { step: String(state.step), 'optimizer.t': String(optimizer.t) }
  return { tensors, metadata: { ...metadata, ...Object.fromEntries(counters) } }
}

/** Restores a state of `saveTrainer`. Throws Error naming a part that does not fit. It begins with
 *  `path`, that of the state's file. */
export function loadTrainer(
  gpu: Gpu,
  trainer: Trainer,
  { tensors, metadata, path = 'checkpoint' }: State & { readonly path?: string },
) {
  const { encoder, head, optimizer, state, kept } = trainer
  checkSizes(kept, tensors, path)
  for (const [prefix, model] of Object.entries({ ...kept.models }))
    loadModel(gpu, model, prefix === '' ? tensors : behind(prefix, tensors), path)
  loadModel(gpu, encoder, tensors, path)
  loadModel(gpu, head, tensors, path)
  restore(gpu, kept.variables, tensors, path)
  restore(gpu, optimizer.state, behind(OPTIMIZER, tensors), path)
  for (const [name, { write }] of Object.entries(kept.counters)) {
    const value = Number(metadata[name] || NaN)
    if (!Number.isInteger(value))
      throw new Error(`${path}: ${name} is missing; it is of another method`)
    write(value)
  }
  const [t, step] = [Number(metadata['optimizer.t'] || NaN), Number(metadata['step'] || NaN)]
  if (!Number.isInteger(t) || !Number.isInteger(step))
    throw new Error(`${path}: step or optimizer.t is missing; it is not one of a run`)
  optimizer.t = t
  state.step = step
}

/** Returns the tensors whose names begin with `prefix`, by the rest of their names. */
const behind = (prefix: string, tensors: ReadonlyMap<string, SavedTensor>) =>
  new Map(
    [...tensors]
      .filter(([name]) => name.startsWith(prefix))
      .map(([name, saved]) => [name.slice(prefix.length), saved]),
  )

/** Throws Error with the method's message for a variable with another number of rows. */
function checkSizes({ variables, resized = {} }: Saved, tensors: State['tensors'], path: string) {
  for (const [name, tell] of Object.entries(resized)) {
    const [was, is] = [tensors.get(name)?.shape[0], variables[name]?.shape[0]]
    if (was !== undefined && is !== undefined && was !== is)
      throw new Error(`${path}: ${tell(was, is)}`)
  }
}
