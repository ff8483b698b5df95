// Models whose initial weights are drawn without a long block of the page.

import { callback, checkValue, describe } from '../kernels/options.ts'
import { partsOf } from '../engine/assemble.ts'
import type { Gpu } from '../engine/gpu.ts'
import { drawingAhead } from '../engine/random.ts'
import { checkGpu } from './model.ts'

/** Makes models, and what belongs to them, with initial weights that are drawn a few milliseconds
 *  at a time, between the page's own work. They are those of `make()`, bit for bit. `make` is
 *  called twice: the variables that it made the first time are freed. Variables made before stay,
 *  but no optimizer can take them twice. Throws TypeError for wrong arguments, Error if `make`
 *  returns the same object twice, and what `make` throws. */
export async function drawnAhead<T extends object>(gpu: Gpu, make: () => T): Promise<T> {
  checkGpu('drawnAhead', gpu)
  checkValue('drawnAhead', 'make', make, { ...callback, words: 'a function that makes models' })
  const { memory, commands } = partsOf(gpu)
  let first: T | null = null
  const list = () => {
    const made = memory.variablesMadeBy(() => (first = checked(make())))
    commands.flush()
    memory.free(made)
  }
  const models = await drawingAhead(make, list)
  if (models === first)
    throw new Error('drawnAhead: make must make models each time that it is called; it kept one')
  return models
}

function checked<T>(made: T): T {
  if (typeof made !== 'object' || made === null || 'then' in made)
    throw new TypeError(`drawnAhead: make must return models at once, got ${describe(made)}`)
  return made
}
