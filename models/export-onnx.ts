// Writes a model as an ONNX file, which other runtimes execute: https://onnx.ai. What writes it is
// loaded when it is first needed, so that a page that exports nothing does not carry it.

import { loadedLater } from '../kernels/loaded-later.ts'
import type { Shape } from '../kernels/op.ts'
import { checkOptions, checkValue, flag, having, needed, record, rule } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { type Model, checkGpu } from './model.ts'

/** Options of `exportOnnx`. */
export interface OnnxOptions {
  /** Shape of one sample, in Kindred's order and without N: [H, W, C] of an image, [L, C] of a
   *  signal or of tokens, [F] of features. */
  readonly input: Shape
  /** True ends with rows of unit length; false by default. */
  readonly unit?: boolean
  /** True stores and computes in f16, in half the size; input and output stay f32. False by
   *  default. */
  readonly half?: boolean
  /** Words for the file's metadata, such as how images must be prepared. */
  readonly metadata?: Readonly<Record<string, string>>
}

const words = rule(
  'an object of strings',
  (v) => record.fits(v) && Object.values(v as object).every((one) => typeof one === 'string'),
)
const sizes = rule(
  '[H, W, C], [L, C] or [F], whole numbers from 1 on',
  (v) =>
    Array.isArray(v) &&
    [1, 2, 3].includes(v.length) &&
    v.every((n) => Number.isInteger(n) && Number(n) >= 1),
)
const rules = { input: needed(sizes), unit: flag, half: flag, metadata: words }

/** Writes a model in evaluation mode as ONNX, opset 20. Its input 'input' is f32 [N, C, H, W]
 *  for images, [N, L, C] or [N, F], with N of any size; its output 'embedding' is f32
 *  [N, features]. Weights have the names that `saveModel` gives them. Throws TypeError for wrong
 *  options, ShapeError for an input that the model does not take, RangeError with `half` for a
 *  number of the forward outside of f16, and Error for an op that has no ONNX form here or works on
 *  the batch axis, which it names. */
export async function exportOnnx(
  gpu: Gpu,
  model: Model,
  options: OnnxOptions,
): Promise<Uint8Array> {
  checkGpu('exportOnnx', gpu)
  checkValue('exportOnnx', 'model', model, having('a model', 'parameters', 'norms', 'forward'))
  const checked = checkOptions('exportOnnx', options, rules)
  const { written } = await loadedLater('exportOnnx', () => import('./onnx/written.ts'))
  return written(gpu, model, checked)
}
