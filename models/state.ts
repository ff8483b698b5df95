// Saves and loads a model's whole state under torchvision's names: parameters, running statistics,
// and the number of batches in these.

import type { Variable } from '../kernels/op.ts'
import type { Gpu } from '../engine/gpu.ts'
import { restore, snapshot } from '../engine/checkpoint.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import type { NormState } from './model.ts'
import { type Parts, collected } from './parts.ts'

/** Collects every variable of the parts, by name: a model's parameters, then
 *  `<norm>.running_mean` and `<norm>.running_var`. Several parts by name prefix theirs, as in
 *  `parametersOf`. Throws Error when two variables have the same name. */
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

/** Lists the running statistics of all models, by name. */
function normsOf(parts: Parts): [name: string, norm: NormState][] {
  const found = Object.entries(collected<NormState>('normsOf', parts, ({ norms }) => norms))
  return found.flatMap(([name, norm]) =>
    'batches' in norm ? [[name, norm] as [string, NormState]] : [],
  )
}

/** Reads a model, or several by name, as `encodeSafetensors` and `save` take it. Names, layouts
 *  (OIHW) and counters are torchvision's. Throws Error when two variables have the same name. */
export async function saveModel(gpu: Gpu, model: Parts): Promise<Map<string, SavedTensor>> {
  const saved = await snapshot(gpu, everyVariable('saveModel', model))
  for (const [name, { batches }] of normsOf(model))
    saved.set(`${name}.num_batches_tracked`, { shape: [], data: BigInt64Array.of(BigInt(batches)) })
  return saved
}

/** Overwrites a model, or several by name, with the saved tensors of the same names, as `saveModel`
 *  returns them. Ignores other tensors. Throws Error that names a tensor that is missing or of
 *  another shape, before anything changes. It begins with `file`, the path of the tensors. */
export function loadModel(
  gpu: Gpu,
  model: Parts,
  saved: ReadonlyMap<string, SavedTensor>,
  file = 'checkpoint',
) {
  restore(gpu, everyVariable('loadModel', model), saved, file)
  for (const [name, norm] of normsOf(model)) {
    const batches = saved.get(`${name}.num_batches_tracked`)?.data[0]
    if (batches !== undefined) norm.batches = Number(batches)
  }
}
