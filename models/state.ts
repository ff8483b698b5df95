// A model's whole state by torchvision's names: parameters, running statistics, and how many batches those have seen.

import type { Variable } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { restore, snapshot } from '../engine/checkpoint.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import type { Model } from './layers.ts'

/** Every variable of a model: parameters, then `<norm>.running_mean` and `<norm>.running_var`. */
export function variablesOf(model: Model): Record<string, Variable> {
  const variables = { ...model.parameters }
  for (const [name, { mean, variance }] of Object.entries(model.norms)) {
    variables[`${name}.running_mean`] = mean
    variables[`${name}.running_var`] = variance
  }
  return variables
}

/** The model as torch.save would hold it: torchvision's names, layouts and counters. */
export async function saveModel(gpu: Gpu, model: Model): Promise<Map<string, SavedTensor>> {
  const saved = await snapshot(gpu, variablesOf(model))
  for (const [name, { batches }] of Object.entries(model.norms))
    saved.set(`${name}.num_batches_tracked`, { shape: [], data: BigInt64Array.of(BigInt(batches)) })
  return saved
}

/** Overwrites the model with saved tensors of the same names; others are ignored. Throws Error naming what is missing or of
 *  another shape, and then nothing was changed. */
export function loadModel(gpu: Gpu, model: Model, saved: ReadonlyMap<string, SavedTensor>) {
  restore(gpu, variablesOf(model), saved)
  for (const [name, norm] of Object.entries(model.norms)) {
    const batches = saved.get(`${name}.num_batches_tracked`)?.data[0]
    if (batches !== undefined) norm.batches = Number(batches)
  }
}
