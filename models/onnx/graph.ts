// A graph of ONNX nodes, made while a model's forward runs. Kindred's images are [N, H, W, C],
// ONNX's [N, C, H, W]: every value knows which of them it has, and is transposed where an op needs
// the other.

import { type Shape, type Tensor, ShapeError, show, sizeOf } from '../../kernels/op.ts'
import type { Attribute, Constant, Node } from './proto.ts'
import { dataTypes } from './proto.ts'

/** A value of the graph. */
export interface GraphValue {
  readonly name: string
  /** As Kindred has it. */
  readonly shape: Shape
  /** True where ONNX has it as [N, C, H, W]. */
  readonly isImage: boolean
  /** True where its first axis grows with the batch; by default where that of an input does. */
  readonly grows?: boolean
}

/** A constant whose numbers are still to be read, and how they are laid out in ONNX. */
interface Weight {
  readonly name: string
  readonly shape: Shape
  readonly from: Tensor
  readonly order: readonly number[] | null
}

/** A call of an op in a forward. */
export interface Call {
  readonly name: string
  readonly attrs: unknown
  readonly inputs: readonly Tensor[]
  /** The first output. */
  readonly output: Tensor
}

/** One axis, a list of them, or all; negative ones count from the end. */
export type CallAxes = number | readonly number[] | undefined

/** What a message tells of a call. */
type Named = Pick<Call, 'name' | 'inputs'>

/** Adds an op's nodes. Returns the values of its outputs, or of its first. */
export type Convert = (graph: Graph, call: Call) => GraphValue | readonly GraphValue[]

/** Builds the nodes and the constants of a model. */
export class Graph {
  readonly nodes: Node[] = []
  readonly weights: Weight[] = []
  readonly constants: Constant[] = []
  /** Numbers that are stored as the weights are. */
  readonly numbers: { readonly name: string; readonly value: number }[] = []
  /** Images in a batch while the forward runs; the exported model takes any number. */
  readonly batch: number
  readonly #names: ReadonlyMap<Tensor, string>
  readonly #values = new Map<Tensor, GraphValue>()
  #count = 0

  /** `names` are those of the model's variables. */
  constructor(batch: number, names: ReadonlyMap<Tensor, string>) {
    this.batch = batch
    this.#names = names
  }

  /** Binds a tensor to a value that is computed. */
  bind(tensor: Tensor, value: GraphValue) {
    this.#values.set(tensor, value)
  }

  /** The value of a tensor; null for a constant. */
  valueOf(tensor: Tensor): GraphValue | null {
    return this.#values.get(tensor) ?? null
  }

  /** Tells whether the first axis of a tensor grows with the batch. */
  grows(tensor: Tensor): boolean {
    return this.#values.get(tensor)?.grows ?? false
  }

  /** Axes of a call's input counted from the front, ascending. Throws Error for the batch axis. */
  axes(call: Call, x: Tensor, axes: CallAxes): readonly number[] {
    const rank = x.shape.length
    const given = axes === undefined ? [...x.shape.keys()] : [axes].flat()
    const all = given.map((axis) => (axis < 0 ? axis + rank : axis)).sort((a, b) => a - b)
    if (this.grows(x) && all.includes(0)) throw this.onBatch(call)
    return all
  }

  /** `axes` of one axis. */
  axis(call: Call, x: Tensor, axis: number): number {
    return this.axes(call, x, axis)[0] ?? axis
  }

  /** The error of a call that works along the batch axis, whose size the file cannot know. */
  onBatch(call: Named): Error {
    return new Error(
      `exportOnnx: ${this.#shown(call)} works on the batch axis; the file takes any number N of samples, so each must be computed by itself`,
    )
  }

  /** The error of a call that cannot be converted. */
  noForm(call: Named, why?: string): Error {
    const because = why === undefined ? '' : `, as ${why}`
    return new Error(
      `exportOnnx: ${this.#shown(call)} has no ONNX form here${because}; the model can be saved as safetensors`,
    )
  }

  /** An op and its inputs' shapes, with N for the size of the batch. */
  #shown({ name, inputs }: Named): string {
    const shapes = inputs.map((x) => {
      const [first = 0, ...rest] = x.shape
      const times = first / this.batch
      return this.grows(x)
        ? `[${[times === 1 ? 'N' : `${times} N`, ...rest].join(', ')}]`
        : show(x.shape)
    })
    return `${name} of ${shapes.join(', ')}`
  }

  /** Adds a node and returns its output's name. */
  node(op: string, inputs: readonly string[], attributes: Node['attributes'] = {}): string {
    const output = `${op.toLowerCase()}_${this.#count++}`
    this.nodes.push({ op, inputs, output, attributes })
    return output
  }

  /** Adds a node for an image or a matrix of this shape. */
  value(
    op: string,
    inputs: readonly string[],
    { shape, isImage = false }: { readonly shape: Shape; readonly isImage?: boolean },
    attributes: Readonly<Record<string, Attribute>> = {},
  ): GraphValue {
    return { name: this.node(op, inputs, attributes), shape, isImage }
  }

  /** The name of a computed tensor as [N, C, H, W] where `isImage`, else as Kindred has it. */
  computed(tensor: Tensor, isImage: boolean): string {
    const value = this.#values.get(tensor)
    if (!value)
      throw new ShapeError(`exportOnnx: ${show(tensor.shape)} does not depend on the model's input`)
    if (value.isImage === isImage) return value.name
    return this.node('Transpose', [value.name], { perm: isImage ? [0, 3, 1, 2] : [0, 2, 3, 1] })
  }

  /** Adds a constant: a tensor's numbers under another shape, or with its axes in another order. */
  weight(from: Tensor, { shape = from.shape, order = null }: Partial<Weight> = {}): string {
    if (!('mutable' in from))
      throw new Error(
        `exportOnnx: a tensor ${show(from.shape)} that the forward makes cannot be exported; make it a variable, once`,
      )
    const known = this.#names.get(from)
    const like = this.weights.find(
      (one) =>
        one.from === from &&
        one.shape.join() === shape.join() &&
        String(one.order) === String(order),
    )
    if (like) return like.name
    const taken = known !== undefined && !this.weights.some(({ name }) => name === known)
    const name = taken ? known : `constant_${this.#count++}`
    this.weights.push({ name, shape, from, order })
    return name
  }

  /** Adds a constant of whole numbers, such as a shape. */
  integers(values: readonly number[]): string {
    const bytes = new Uint8Array(BigInt64Array.from(values, BigInt).buffer)
    return this.#constant({ shape: [values.length], type: dataTypes.i64, bytes })
  }

  /** Adds a number. */
  number(value: number): string {
    const name = `constant_${this.#count++}`
    this.numbers.push({ name, value })
    return name
  }

  /** Adds the number of samples in the input, as whole numbers [1]. */
  batchSize(): string {
    return this.node('Shape', ['input'], { start: 0, end: 1 })
  }

  #constant(constant: Omit<Constant, 'name'>): string {
    const name = `constant_${this.#count++}`
    this.constants.push({ name, ...constant })
    return name
  }

  /** A value of another shape: -1 stands for the axis that grows with the batch, the first. Throws
   *  Error where `call` makes it another axis. */
  reshaped(call: Call, x: Tensor, name: string): GraphValue {
    const { shape } = call.output
    const [first = 1, ...rest] = shape
    const grows = this.grows(x)
    if (grows && (shape.length === 0 || first % this.batch !== 0 || sizeOf(rest) === 0))
      throw this.onBatch(call)
    return this.value('Reshape', [name, this.integers(grows ? [-1, ...rest] : shape)], { shape })
  }
}
