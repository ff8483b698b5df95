// y = a where the condition is not 0, else b. The three broadcast.

import { type Op, type Run, type Shape, type Tensor, flatIndex, kernel, op } from '../op.ts'
import { checkTensor, checkValue, either, number, tensor } from '../options.ts'
import { broadcastIndex, broadcastShape, combine, sumTo } from '../wgsl/broadcast.ts'
import { perElement } from '../wgsl/pointwise.ts'
import { spread } from '../wgsl/strided.ts'

// The condition is read as bits: those of 0 are 0 in f32 and i32, and -0 has its sign alone. So the
// least i32 counts as 0. NaN does not, as in torch.
const whereKernel = kernel`
  @group(0) @binding(0) var<storage, read>       condition: array<u32>; // f32 or i32
  @group(0) @binding(1) var<storage, read>       a:         array<f32>;
  @group(0) @binding(2) var<storage, read>       b:         array<f32>; // of y's shape
  @group(0) @binding(3) var<storage, read_write> y:         array<f32>;
  @group(0) @binding(4) var<uniform>             p:         Params;
  ${flatIndex}
  ${broadcastIndex}
  @compute @workgroup_size(64)
  fn whereForward(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i >= p.count) { return; }
    let isZero = (condition[indexA(i)] & 0x7fffffffu) == 0u;
    y[i] = select(a[indexB(i)], b[i], isZero);
  }
`

const fillKernel = kernel`
  struct Params { count: u32, value: f32 }
  @group(0) @binding(0) var<storage, read_write> y: array<f32>;
  @group(0) @binding(1) var<uniform>             p: Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn fill(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let i = flat(id, groups);
    if (i < p.count) { y[i] = p.value; }
  }
`

const fill = (run: Run, shape: Shape, value: number) =>
  perElement(run, fillKernel, shape, { params: { value } })

/** The operands that are numbers. The others follow the condition among the inputs. */
interface Attrs {
  readonly a?: number
  readonly b?: number
}

/** The operands in order: numbers of `attrs`, tensors (or their shapes) of `given`. */
function operands<T>({ a, b }: Attrs, given: readonly T[]): [a: T | number, b: T | number] {
  const [first, second] = given as readonly [T, T] // as many as there are tensors
  return [a ?? first, b ?? (a === undefined ? second : first)]
}

const shapeOf = (operand: Shape | number): Shape => (typeof operand === 'number' ? [] : operand)

function resultShape(attrs: Attrs, condition: Shape, given: readonly Shape[]): Shape {
  const [a, b] = operands(attrs, given)
  return broadcastShape('where', condition, broadcastShape('where', shapeOf(a), shapeOf(b)))
}

/** The operand as a tensor of `shape`. */
function whole(run: Run, operand: Tensor | number, shape: Shape): Tensor {
  if (typeof operand === 'number') return fill(run, shape, operand)
  if (operand.shape.join() === shape.join()) return operand
  const aligned = [...shape.slice(operand.shape.length).map(() => 1), ...operand.shape]
  return spread(run, run.view(operand, aligned), shape)
}

const whereOp: Op<[condition: Tensor, ...operands: Tensor[]], [y: Tensor], Attrs> = {
  name: 'where',
  accepts: ['index'],
  shape: (attrs, condition, ...given) => resultShape(attrs, condition, given),
  forward(run, attrs, condition, ...given) {
    const shapes = given.map((t) => t.shape)
    const shape = resultShape(attrs, condition.shape, shapes)
    const [a, b] = operands(attrs, given).map((operand) => whole(run, operand, shape))
    return [combine(run, whereKernel, condition, a as Tensor, [b as Tensor])]
  },
  backward(run, attrs, [dy], [condition, ...given], _outputs, [, ...needs]) {
    const zero = fill(run, dy.shape, 0)
    const gradients = given.map((operand, i) => {
      if (needs[i] !== true) return null
      const [yes, no] = i === 0 && attrs.a === undefined ? [dy, zero] : [zero, dy]
      return sumTo(run, combine(run, whereKernel, condition, yes, [no]), operand.shape)
    })
    return [null, ...gradients]
  },
}

const applyWhere = op(whereOp, 'condition')

const operandRule = either(number, tensor)

/** a where the condition is not 0, else b, elementwise, broadcasting as numpy does. The condition
 *  is an f32 or i32 tensor without a gradient; NaN counts as true. a and b are tensors or numbers;
 *  each gets the gradient of the elements taken from it. Throws ShapeError for shapes that do not
 *  broadcast. */
export function where(condition: Tensor, a: Tensor | number, b: Tensor | number): Tensor {
  checkTensor('where', 'condition', condition)
  checkValue('where', 'a', a, operandRule)
  checkValue('where', 'b', b, operandRule)
  const attrs = {
    ...(typeof a === 'number' ? { a } : {}),
    ...(typeof b === 'number' ? { b } : {}),
  }
  const given = [a, b].filter((operand) => typeof operand !== 'number')
  return applyWhere(attrs, condition, ...given)
}
