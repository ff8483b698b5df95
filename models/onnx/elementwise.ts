// What ops of single elements become in ONNX (https://onnx.ai/onnx/operators/): of one tensor, of
// two that broadcast, and of a tensor and a number.

import { type Tensor, dim } from '../../kernels/op.ts'
import { isImage, known } from './call.ts'
import type { Call, Convert, Graph, GraphValue } from './graph.ts'

/** The output of a node whose images are [N, C, H, W]. */
const alike = ({ output }: Call) => ({ shape: output.shape, isImage: isImage(output) })

/** An operand of an elementwise op as ONNX broadcasts it against images of another layout. */
function operand(graph: Graph, x: Tensor, asImage: boolean): string {
  if (graph.valueOf(x) && (isImage(x) || !asImage)) return graph.computed(x, asImage && isImage(x))
  if (!asImage) return graph.weight(x)
  const shape = [...Array<number>(4 - x.shape.length).fill(1), ...x.shape]
  if (!graph.valueOf(x)) {
    const [N = 1, H = 1, W = 1, C = 1] = shape
    return H * W === 1 || C === 1
      ? graph.weight(x, { shape: [N, C, H, W] })
      : graph.weight(x, { shape: [N, C, H, W], order: [0, 3, 1, 2] })
  }
  const wide = graph.node('Reshape', [graph.computed(x, false), graph.integers(shape)])
  return graph.node('Transpose', [wide], { perm: [0, 3, 1, 2] })
}

/** The operands' names. Throws Error where they meet along the batch axis but are not all of the
 *  batch. */
function operands(graph: Graph, call: Call): readonly string[] {
  const { inputs, output } = call
  if (inputs.some((x) => graph.grows(x)))
    for (const x of inputs) {
      const isWhole = x.shape.length === output.shape.length
      const meets = graph.grows(x) ? !isWhole : isWhole && dim(x.shape, 0) !== 1
      if (meets) throw graph.onBatch(call)
    }
  return inputs.map((x) => operand(graph, x, isImage(output)))
}

/** An op of one ONNX operator on so many tensors, element by element. */
const elementwise = (op: string, inputs: number): Convert =>
  known({ inputs: [inputs], attrs: [] }, (graph, call) =>
    graph.value(op, operands(graph, call), alike(call)),
  )

/** scale x + shift. */
const affine: Convert = known({ inputs: [1], attrs: ['scale', 'shift'] }, (graph, call) => {
  const { scale, shift } = call.attrs as { scale: unknown; shift: unknown } // as `known` says
  if (typeof scale !== 'number' || typeof shift !== 'number')
    throw graph.noForm(call, 'its number changes from step to step')
  let [name = ''] = operands(graph, call)
  if (scale !== 1) name = graph.node('Mul', [name, graph.number(scale)])
  if (shift !== 0) name = graph.node('Add', [name, graph.number(shift)])
  return { name, ...alike(call) }
})

/** A division by a number, or of one. */
const quotient =
  (attr: 'by' | 'c'): Convert =>
  (graph, call) => {
    const { [attr]: value } = call.attrs as Record<string, number> // as `division` says
    const [x = ''] = operands(graph, call)
    const number = graph.number(value ?? NaN)
    return graph.value('Div', attr === 'by' ? [x, number] : [number, x], alike(call))
  }

const has = ({ attrs }: Call, name: string) => Object.hasOwn(attrs as object, name)

/** An op of two tensors, or of a tensor and a number. */
const arithmetic = (op: string): Convert => {
  const tensors = elementwise(op, 2)
  return (graph, call) => (has(call, 'scale') ? affine : tensors)(graph, call)
}

const division: Convert = (graph, call): GraphValue | readonly GraphValue[] => {
  for (const attr of ['by', 'c'] as const)
    if (has(call, attr)) return known({ inputs: [1], attrs: [attr] }, quotient(attr))(graph, call)
  return arithmetic('Div')(graph, call)
}

/** ONNX's form of each op of single elements, by its name. */
export const elementwiseOperators: Readonly<Record<string, Convert>> = {
  ...{ add: arithmetic('Add'), sub: arithmetic('Sub'), mul: arithmetic('Mul'), div: division },
  ...{ affine, neg: affine, relu: elementwise('Relu', 1), tanh: elementwise('Tanh', 1) },
  ...{ sigmoid: elementwise('Sigmoid', 1), exp: elementwise('Exp', 1), abs: elementwise('Abs', 1) },
  ...{ log: elementwise('Log', 1), sqrt: elementwise('Sqrt', 1) },
  ...{ softplus: elementwise('Softplus', 1) },
  ...{ maximum: elementwise('Max', 2), minimum: elementwise('Min', 2) },
}
