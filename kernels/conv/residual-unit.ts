// A residual unit without norms (AMDIM's ConvResNxN, https://arxiv.org/abs/1906.00910, model.py of
// its code) as one op:
//   h = relu(conv2d(x, w1))    y = conv2d(h, w2) + shortcut(x),   w2 1 x 1
// The shortcut is x itself; where h has another size or more channels, the mean of each window and
// channels of zeros (addPooled); or a projection, conv2d(x, w3) + b3.
//
// On a GPU each product ends with what follows it (finish.ts): ReLU, its mask, or the other of two
// sums. So a unit whose shortcut is x takes two dispatches forward, and two for its gradient with
// respect to x, where ops one by one take four each.

import { type Op, type Run, type Shape, type Tensor, ShapeError, op, show } from '../op.ts'
import { sumTo } from '../wgsl/broadcast.ts'
import { imageOf, storedAs } from '../wgsl/storage.ts'
import { addPooledOp } from '../pool/add-pooled.ts'
import { avgPoolBack } from '../pool/avg-pool.ts'
import { convDataGradient, convForward } from './forward.ts'
import { conv2dOp } from './conv2d.ts'
import type { Steps } from './steps.ts'
import { convWeightGradient, convWeightGradients } from './weight-gradient.ts'
import { checkOptions, checkTensor, count, having, orNull } from '../options.ts'

interface Attrs {
  /** Pixels between windows of w1. */
  readonly stride: number
}

type Projection = readonly [w3: Tensor, b3: Tensor]
type UnitInputs = [x: Tensor, w1: Tensor, w2: Tensor, ...projection: [] | Projection]

const once: Steps = { stride: [1, 1], padding: [0, 0] }
const stepsOf = ({ stride }: Attrs): Steps => ({ stride: [stride, stride], padding: [0, 0] })
const windowOf = (w1: Shape, { stride }: Attrs) => ({ size: w1[0] ?? 1, stride, padding: 0 })

/** Whether the shortcut is x itself. */
const isSame = (x: Shape, y: Shape) => x.join() === y.join()

function unitShape(attrs: Attrs, x: Shape, w1: Shape, w2: Shape, ...projection: Shape[]): Shape {
  const [kH, kW] = w1
  if (kH !== kW)
    throw new ShapeError(`residualUnit: w1 must have as many rows as columns, got ${show(w1)}`)
  if (w2[0] !== 1 || w2[1] !== 1)
    throw new ShapeError(`residualUnit: w2 must be [1, 1, C, K], got ${show(w2)}`)
  const y = conv2dOp.shape(once, conv2dOp.shape(stepsOf(attrs), x, w1), w2)
  const [w3, b3] = projection
  if (!w3 || !b3) return isSame(x, y) ? y : addPooledOp.shape(windowOf(w1, attrs), y, x)
  const projected = conv2dOp.shape(once, x, w3)
  if (projected.join() !== y.join())
    throw new ShapeError(
      `residualUnit: the projection must have the branch's shape ${show(y)}, got ${show(projected)}`,
    )
  if (b3.length !== 1 || b3[0] !== y[3])
    throw new ShapeError(
      `residualUnit: the projection's bias must have one value per channel, got ${show(b3)} for ${show(y)}`,
    )
  return y
}

/** The output h is relu(conv2d(x, w1)). */
export const residualUnitOp: Op<UnitInputs, [y: Tensor, h: Tensor], Attrs> = {
  name: 'residualUnit',
  accepts: ['float', 'f32', 'f32', 'f32', 'f32'],
  shape: unitShape,
  flops(attrs, x, w1, w2, ...[w3]) {
    const steps = stepsOf(attrs)
    const hidden = conv2dOp.shape(steps, x, w1)
    const of = (how: Steps, image: Shape, w: Shape) => conv2dOp.flops?.(how, image, w) ?? 0
    return of(steps, x, w1) + of(once, hidden, w2) + (w3 ? of(once, x, w3) : 0)
  },
  forward(run, attrs, x, w1, w2, ...[w3, b3]) {
    const steps = stepsOf(attrs)
    const hidden = conv2dOp.shape(steps, x.shape, w1.shape)
    const out = conv2dOp.shape(once, hidden, w2.shape)
    const h = convForward(run, x, w1, hidden, steps, { how: 'rectify' })
    const plus = (other: Tensor) =>
      convForward(run, h, w2, out, once, {
        how: 'add',
        other: storedAs(run, imageOf(run, out).dtype, other),
      })
    if (w3 && b3) return [plus(convForward(run, x, w3, out, { ...once, bias: b3 })), h]
    if (isSame(x.shape, out)) return [plus(x), h]
    const window = windowOf(w1.shape, attrs)
    const [y] = addPooledOp.forward(run, window, convForward(run, h, w2, out, once), x)
    return [y, h]
  },
  backward(run, attrs, [dy], [x, w1, w2, w3, b3], [, h], needs) {
    const [dxNeeded = false, dw1Needed, dw2Needed, dw3Needed, db3Needed] = needs
    const steps = stepsOf(attrs)
    const dh = () => convDataGradient(run, dy, w2, h, once, { how: 'mask', other: h })
    const dHidden = dxNeeded || dw1Needed ? dh() : null
    const ofWeights = () => {
      const one = dHidden && ([x, dHidden, w1.shape, steps] as const)
      const two = [h, dy, w2.shape, once] as const
      if (one && dw1Needed && dw2Needed) return convWeightGradients(run, one, two)
      return [
        one && dw1Needed ? convWeightGradient(run, ...one) : null,
        dw2Needed ? convWeightGradient(run, ...two) : null,
      ]
    }
    const dx = () =>
      dHidden &&
      convDataGradient(run, dHidden, w1, x, steps, {
        how: 'add',
        other: storedAs(run, x.dtype, throughShortcut(run, attrs, dy, [x, w1, w3])),
      })
    const gradients = [dxNeeded ? dx() : null, ...ofWeights()]
    if (!w3 || !b3) return gradients
    return [
      ...gradients,
      dw3Needed ? convWeightGradient(run, x, dy, w3.shape, once) : null,
      db3Needed ? sumTo(run, storedAs(run, 'f32', dy), b3.shape) : null,
    ]
  },
}

/** The gradient of x through the shortcut. */
function throughShortcut(
  run: Run,
  attrs: Attrs,
  dy: Tensor,
  [x, w1, w3]: readonly [x: Tensor, w1: Tensor, w3: Tensor | undefined],
): Tensor {
  if (w3) return convDataGradient(run, dy, w3, x, once)
  return isSame(x.shape, dy.shape) ? dy : avgPoolBack(run, dy, x.shape, windowOf(w1.shape, attrs))
}

const apply = op(residualUnitOp, 'x', 'w1', 'w2', 'projection.w', 'projection.b')

/** Options of `residualUnit`. */
export interface ResidualUnitOptions {
  /** Pixels between windows of w1, in rows and columns; 1 by default. */
  readonly stride?: number
  /** A shortcut of its own: 1 x 1 weights [1, 1, C, K] and a bias [K]. */
  readonly projection?: { readonly w: Tensor; readonly b: Tensor } | null
}

/** A residual unit without norms: x [N, H, W, C], w1 [k, k, C, D], w2 [1, 1, D, K] -> y [N, Ho, Wo,
 *  K] = conv2d(relu(conv2d(x, w1, { stride })), w2) + shortcut. The shortcut is x where it has y's
 *  shape, else the mean of each of w1's windows in the first C channels, or, if given,
 *  conv2d(x, projection.w) + projection.b. Throws ShapeError. */
export function residualUnit(
  x: Tensor,
  w1: Tensor,
  w2: Tensor,
  given: ResidualUnitOptions = {},
): Tensor {
  const { stride = 1, projection = null } = checkOptions('residualUnit', given, rules)
  if (!projection) return apply({ stride }, x, w1, w2)
  for (const name of ['w', 'b'] as const)
    checkTensor('residualUnit', `projection.${name}`, projection[name])
  return apply({ stride }, x, w1, w2, projection.w, projection.b)
}

const rules = {
  stride: count,
  projection: orNull(having('a shortcut { w, b }', 'w', 'b')),
}
