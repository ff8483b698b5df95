// Models whose initial weights are drawn without a long block of the page.

import { callback, checkValue } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { drawingAhead } from '../engine/random.ts'
import { checkGpu } from './model.ts'

/** Makes models, and what belongs to them, with initial weights that are drawn a few milliseconds at a
 *  time, between the page's own work. They are those of `make()`, bit for bit. `make` is called
 *  twice, and makes variables alone: those of the first time are freed. Throws TypeError for wrong
 *  arguments, and what `make` throws. */
export function drawnAhead<T extends object>(gpu: Gpu, make: () => T): Promise<T> {
  checkGpu('drawnAhead', gpu)
  checkValue('drawnAhead', 'make', make, { ...callback, words: 'a function that makes models' })
  return drawingAhead(make, (made) => gpu.free(made))
}
