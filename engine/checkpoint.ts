// Converts variables to and from the layouts of a checkpoint, which are torchvision's: a
// convolution's weight [H, W, I, O] here is [O, I, H, W] there. All else is stored unchanged.

import { type Shape, type Variable, show, sizeOf } from '../kernels/op.ts'
import { checkValue, onGpu, record, text } from '../kernels/options.ts'
import { quiet } from './errors.ts'
import type { Gpu } from './gpu.ts'
import type { Named } from './named.ts'
import type { SavedTensor } from './safetensors.ts'

/** The parts of each flat variable, in order: 'conv1.weight [3, 3, 3, 64]'. */
const layouts = new WeakMap<Variable, readonly string[]>()

/** Names the parts of a flat variable. */
export const setLayout = (flat: Variable, parts: readonly string[]) => layouts.set(flat, parts)

const LAYOUT = '.layout' // follows the name of a flat variable: its parts, as UTF-8 text

/** Reads the variables' values, to be saved: by their names, in torchvision's layouts (a
 *  convolution's weight [O, I, H, W], all else unchanged). A flat variable of an optimizer's state
 *  is followed by `<name>.layout`, which names the parameters in it; `restore` compares them.
 *  Throws TypeError, and what `Gpu.read` throws. */
export function snapshot(gpu: Gpu, variables: Named): Promise<Map<string, SavedTensor>> {
  checkValue('snapshot', 'gpu', gpu, onGpu)
  checkValue('snapshot', 'variables', variables, record)
  const reads = Object.entries(variables).map(
    async ([name, variable]): Promise<[string, SavedTensor]> => {
      const data = await gpu.read(variable)
      return [
        name,
        variable.shape.length === 4
          ? permute(data, variable.shape, [3, 2, 0, 1])
          : { shape: variable.shape, data },
      ]
    },
  )
  return quiet(Promise.all(reads).then((saved) => withLayouts(new Map(saved), variables)))
}

function withLayouts(saved: Map<string, SavedTensor>, variables: Named): Map<string, SavedTensor> {
  for (const [name, variable] of Object.entries(variables)) {
    const parts = layouts.get(variable)
    if (parts) saved.set(name + LAYOUT, textTensor(parts.join('\n')))
  }
  return saved
}

function textTensor(words: string): SavedTensor {
  const data = new TextEncoder().encode(words)
  return { shape: [data.length], data }
}

/** Throws Error unless a saved flat variable has the same parts as this one, in the same order. */
function checkLayout(
  file: string,
  [name, variable]: readonly [string, Variable],
  saved: ReadonlyMap<string, SavedTensor>,
) {
  const [parts, lines] = [layouts.get(variable), saved.get(name + LAYOUT)?.data]
  if (!parts || !(lines instanceof Uint8Array)) return
  const before = new TextDecoder().decode(lines).split('\n')
  const at = parts.findIndex((part, i) => part !== before[i])
  if (at < 0 && before.length === parts.length) return
  const i = at < 0 ? parts.length : at
  throw new Error(
    `${file}: ${name} is of parameters in another order, ${before[i] ?? 'nothing'} where the optimizer has ${parts[i] ?? 'nothing'}; make the optimizer of the same parameters in the order that they were saved in`,
  )
}

/** Overwrites the variables with saved ones of the same names, and ignores others in `saved`.
 *  Before anything is written, throws Error naming a variable that is missing, has another shape,
 *  or is an optimizer's state for other parameters or another order of them. Messages begin with
 *  `file`, the path that `saved` was read from. */
export function restore(
  gpu: Gpu,
  variables: Named,
  saved: ReadonlyMap<string, SavedTensor>,
  file = 'checkpoint',
) {
  checkValue('restore', 'gpu', gpu, onGpu)
  checkValue('restore', 'variables', variables, record)
  checkValue('restore', 'saved', saved, savedMap)
  checkValue('restore', 'file', file, text)
  const writes = Object.entries(variables).map(([name, variable]) => {
    const stored = saved.get(name)
    if (!stored) throw new Error(`${file}: ${name} is missing; it is of another model`)
    if (!(stored.data instanceof Float32Array))
      throw new Error(
        `${file}: ${name} must be F32, F16 or BF16, and is not; it is of another program`,
      )
    if (sizeOf(stored.shape) !== stored.data.length)
      throw new Error(
        `${file}: ${name} has ${stored.data.length} values for ${show(stored.shape)}; it is damaged`,
      )
    const isConv = variable.shape.length === 4
    const { data, shape } = isConv
      ? permute(stored.data, stored.shape, [2, 3, 1, 0])
      : { ...stored, data: stored.data }
    if (shape.join() !== variable.shape.join())
      throw new Error(
        `${file}: ${name} is ${show(stored.shape)}, the model needs ${show(isConv ? oihw(variable.shape) : variable.shape)}; it is of another model or width`,
      )
    return { variable, data }
  })
  for (const named of Object.entries(variables)) checkLayout(file, named, saved)
  for (const { variable, data } of writes) gpu.write(variable, data)
}

const savedMap = {
  words: 'a map of saved tensors, the `tensors` of what load returns',
  fits: (v: unknown) => v instanceof Map,
}

const oihw = ([H = 0, W = 0, I = 0, O = 0]: Shape) => [O, I, H, W]

/** Reorders the axes of a 4-d array: axis i of the result is axis order[i] of the source. */
function permute(data: Float32Array, shape: Shape, order: readonly number[]) {
  const strides = shape.map((_, axis) => sizeOf(shape.slice(axis + 1)))
  const to = order.map((axis) => shape[axis] ?? 1)
  const steps = order.map((axis) => strides[axis] ?? 0)
  const [, B = 1, C = 1, D = 1] = to
  const [sa = 0, sb = 0, sc = 0, sd = 0] = steps
  const out = new Float32Array(data.length)
  for (let i = 0; i < out.length; i++) {
    const [a, b, c, d] = [
      Math.floor(i / (B * C * D)),
      Math.floor(i / (C * D)) % B,
      Math.floor(i / D) % C,
      i % D,
    ]
    out[i] = data[a * sa + b * sb + c * sc + d * sd] ?? NaN
  }
  return { data: out, shape: to }
}
