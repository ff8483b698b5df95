// A model's whole state by torchvision's names: parameters, running statistics, and how many
// batches those have seen.

import type { Variable } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { restore, snapshot } from '../engine/checkpoint.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import type { NormState } from './layers.ts'
import { type Parts, collected } from './parts.ts'

/** Every variable of a model: parameters, then `<norm>.running_mean` and `<norm>.running_var`.
 *  Those of several models by name have the model's name in front, as `parametersOf` has it.
 *  Throws Error where two have one name. */
export const variablesOf = (parts: Parts): Record<string, Variable> =>
  everyVariable('variablesOf', parts)

function everyVariable(owner: string, parts: Parts): Record<string, Variable> {
  return collected(owner, parts, (model) => {
    const variables = { ...model.parameters }
    for (const [name, { mean, variance }] of Object.entries(model.norms)) {
      variables[`${name}.running_mean`] = mean
      variables[`${name}.running_var`] = variance
    }
    return variables
  })
}

/** The running statistics of models, by name. */
function normsOf(parts: Parts): [name: string, norm: NormState][] {
  const found = Object.entries(collected<NormState>('normsOf', parts, ({ norms }) => norms))
  return found.flatMap(([name, norm]) =>
    'batches' in norm ? [[name, norm] as [string, NormState]] : [],
  )
}

/** A model, or several by name, as torch.save would hold it: torchvision's names, layouts and
 *  counters. Throws Error where two variables have one name. */
export async function saveModel(gpu: Gpu, model: Parts): Promise<Map<string, SavedTensor>> {
  const saved = await snapshot(gpu, everyVariable('saveModel', model))
  for (const [name, { batches }] of normsOf(model))
    saved.set(`${name}.num_batches_tracked`, { shape: [], data: BigInt64Array.of(BigInt(batches)) })
  return saved
}

/** Overwrites the model, or several by name, with saved tensors of the same names; others are
 *  ignored. Throws Error naming what is missing or of another shape, and then nothing was
 *  changed. */
export function loadModel(gpu: Gpu, model: Parts, saved: ReadonlyMap<string, SavedTensor>) {
  restore(gpu, everyVariable('loadModel', model), saved)
  for (const [name, norm] of normsOf(model)) {
    const batches = saved.get(`${name}.num_batches_tracked`)?.data[0]
    if (batches !== undefined) norm.batches = Number(batches)
  }
}
