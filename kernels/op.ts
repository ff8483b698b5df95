// The contract between ops (kernels/) and the machine that runs them (engine/): kernels are written
// against it, the engine implements it.

import type { Forms } from './form.ts'
import { MAX_GROUPS_PER_DIM } from './limits.ts'
import { type Kernel, wgsl } from './kernel.ts'
import { inputName } from './input-name.ts'
import { isTensor, notTensor } from './options.ts'

export { type Form, form, ownOf } from './form.ts'
export { type Access, type Kernel, type Wgsl, kernel, wgsl } from './kernel.ts'

/** Sizes of the dimensions, the slowest first: [N, H, W, C]. [] is a scalar. */
export type Shape = readonly number[]

/** Element types: f32 for computed numbers, f16 for images where the user allows it
 *  (`Activations`), i32 for labels and indices, u8 for images of bytes. */
export type DType = 'f32' | 'i32' | 'u8' | 'f16'

/** Arithmetic of matrix products and convolutions. Sums are always f32.
 *  'f32' is exact. 'f16x3' comes close to it on tensor cores, by three products of f16s. 'f16'
 *  allows factors to be rounded to f16 (11 bits, as in TF32). A device that cannot do this computes
 *  in f32. */
export type Precision = 'f32' | 'f16x3' | 'f16'

/** How convolutions, and what follows them, store images and their gradients: 'f32', or 'f16',
 *  rounded to 11 bits, in half the memory. Ops still compute in f32. */
export type Activations = 'f32' | 'f16'

/** An array of numbers on the GPU. Ops never change a tensor; they return new ones. */
export interface Tensor {
  readonly shape: Shape
  readonly dtype: DType
  readonly gpu: Machine
}

/** A tensor that outlives steps and is written in place: a parameter, a running statistic, a
 *  queue. */
export interface Variable extends Tensor {
  readonly mutable: true
}

/** Numbers that `Machine.tensor` accepts: a number, a typed array, or arrays of numbers, nested
 *  ones of equal sizes. Their kind decides the dtype: bytes u8, other integers i32, floats and
 *  plain arrays f32. */
export type Values = number | TypedValues | readonly Values[]

/** A typed array of any kind. */
export type TypedValues =
  | Float32Array
  | Float64Array
  | (ArrayBufferView & ArrayLike<number> & { readonly [Symbol.toStringTag]: 'Float16Array' }) // newer than these types
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Uint8Array
  | Uint8ClampedArray
  | Uint16Array
  | Uint32Array
  | BigUint64Array

/** The GPU that an op's inputs live on, as the op sees it. */
export interface Machine {
  /** Runs the op on the inputs, records it for the backward pass, and returns its outputs. */
  apply<In extends TensorList, Out extends TensorList, A>(
    op: Op<In, Out, A>,
    attrs: A,
    inputs: In,
  ): Readonly<Out>
  /** Puts values on the GPU, of this shape or their own. */
  tensor(values: Values, shape?: Shape): Tensor
  readonly run: Run
  /** Claims a name for `by`. Returns false if something else has claimed it: in the forward pass,
   *  in this step; outside of steps, in this backward pass. Claims under `noGrad` do not count. */
  claim?(name: string, by: object, pass: Pass): boolean
  /** The largest of a sample of the values that JavaScript passed for a tensor of images; undefined
   *  for any other tensor. */
  largest?(x: Tensor): number | undefined
}

/** The two ways through an op. */
export type Pass = 'forward' | 'backward'

/** Tensors, at least one. */
export type TensorList = readonly [Tensor, ...Tensor[]]

/** A differentiable function of tensors. */
export interface Op<In extends TensorList, Out extends TensorList = [Tensor], A = object> {
  readonly name: string
  /** Element types of the inputs, in order; f32 for those not listed. 'index' is i32, or f32 that
   *  holds integers. 'float' is f32 or f16; where f32 is due, f16 is converted first. */
  readonly accepts?: readonly Accepted[]
  readonly names?: readonly string[] // of the inputs, for messages; `op` sets them
  /** The first output's shape. Throws ShapeError. Runs before anything is dispatched. */
  shape(attrs: A, ...inputs: { [I in keyof In]: Shape }): Shape
  /** Returns the FLOPs of the forward pass, two for each multiply-add, of ops that are products. */
  flops?(attrs: A, ...inputs: { [I in keyof In]: Shape }): number
  /** Returns the outputs, then what the backward pass needs. Other tensors made inside are freed
   *  when it returns. */
  forward(run: Run, attrs: A, ...inputs: In): Readonly<Out>
  /** Whether `backward` takes the first output's cotangent as it comes: in two addends where two
   *  ops read that output, and the first perhaps `Pending` (pending.ts). It saves passes. */
  readonly takesParts?: boolean
  /** Vector-Jacobian product: one gradient per input, null where there is none or `needs` is false.
   *  The first output's cotangent is always given; another is null if nothing depends on that
   *  output. A cotangent has its output's element type; a gradient is converted to its input's. An
   *  op without `backward` (augmentation, integer outputs) has constant outputs. `addend`, given to
   *  those that take parts, is added to the first cotangent unless it is null. */
  backward?(
    run: Run,
    attrs: A,
    cotangents: readonly [Tensor, ...(Tensor | null)[]],
    inputs: In,
    outputs: Readonly<Out>,
    needs: readonly boolean[],
    addend?: Tensor | null,
  ): readonly (Tensor | null)[]
}

/** What an op accepts as an input. */
export type Accepted = DType | 'index' | 'float'

/** Makes an op callable. The call runs it on its first input's machine and returns the first
 *  output. `names` are the inputs' names for messages. It throws TypeError for no tensor. */
export function op<In extends TensorList, Out extends TensorList = [Tensor], A = object>(
  def: Op<In, Out, A>,
  ...names: readonly string[]
) {
  const named = { ...def, names }
  return (attrs: A, ...inputs: In): Tensor => {
    for (const [i, x] of (inputs.length > 0 ? inputs : [undefined]).entries())
      if (!isTensor(x)) throw notTensor(def.name, inputName(names, i), x)
    return inputs[0].gpu.apply(named, attrs, inputs)[0]
  }
}

/** Runs one kernel and returns one new tensor per entry of `makes`. New tensors hold garbage, so a
 *  kernel must write every element. */
export interface Run {
  <const Makes extends readonly Make[] = []>(
    kernel: Kernel,
    dispatch: Dispatch<Makes>,
  ): { [I in keyof Makes]: Tensor }
  /** The same memory under another shape of the same size. */
  view(x: Tensor, shape: Shape): Tensor
  /** Puts values on the GPU until this op returns. */
  tensor(values: Values, shape?: Shape): Tensor
  /** Computes a result in one of several ways that give the same bits: the fastest measured on this
   *  device under that name, or `guess` where none was measured. */
  race<T>(name: string, ways: number, guess: number, compute: (way: number) => T): T
  /** True on a software adapter, which runs kernels on the CPU. */
  readonly software: boolean
  /** The precision that the user allows. f16x3 and f16 imply that the device has f16. */
  readonly precision: Precision
  /** How convolutions store images. */
  readonly activations: Activations
  /** Whether kernels may say `enable f16`. */
  readonly f16: boolean
  /** Bytes of memory that a workgroup may share. */
  readonly workgroupBytes: number
  /** The smallest size of a subgroup; 0 on devices without subgroups. */
  readonly subgroupSize: number
  /** Whether `forms` has products on subgroup matrices, f16 x f16 -> f32 of 16 x 16 x 16. */
  readonly matrices: boolean
  /** Kernels of this device's own. */
  readonly forms: Forms
}

/** A tensor to make: its shape (f32), or shape and element type. */
export type Make = Shape | { readonly shape: Shape; readonly dtype: DType }

export interface Dispatch<Makes extends readonly Make[]> {
  /** Bound in order to the kernel's `var<storage, read>` declarations. */
  readonly reads?: readonly Tensor[]
  /** Bound in order to the first `var<storage, read_write>` declarations, and written in place. */
  readonly updates?: readonly Variable[]
  /** One fresh tensor per remaining `var<storage, read_write>` declaration. */
  readonly makes?: Makes
  /** Fields of the kernel's `struct Params`, by name. */
  readonly params?: Readonly<Record<string, Scalar>>
  /** Values for `override` declarations; each set compiles its own pipeline. */
  readonly constants?: Readonly<Record<string, number>>
  /** Workgroups to run, at most 65,535 in each dimension. */
  readonly groups: readonly [x: number, y?: number, z?: number]
}

/** A number, or a function that returns it, where it differs from step to step: every replay of a
 *  captured step calls the function again. It must have no effects, and must read state that
 *  outlives the call (`() => state.step`). */
export type Scalar = number | (() => number)

/** The current value of a scalar. */
export const valueOf = (scalar: Scalar) => (typeof scalar === 'number' ? scalar : scalar())

/** A scalar computed from another; a function if that is one. */
export const derive = (from: Scalar, compute: (value: number) => number): Scalar =>
  typeof from === 'number' ? compute(from) : () => compute(from())

/** Thrown by `Op.shape`, before anything is dispatched. The message is `op: rule, got shapes`. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError'
}

/** A shape as messages show it: [64, 128]. */
export const show = (shape: Shape) => `[${shape.join(', ')}]`

/** The number of elements of a shape. */
export const sizeOf = (shape: Shape) => shape.reduce((a, b) => a * b, 1)

/** The two dimensions of a matrix. Throws ShapeError, beginning with `what`, for other shapes. */
export function matrix(shape: Shape, what: string): [rows: number, columns: number] {
  if (shape.length !== 2)
    throw new ShapeError(`${what} must be a matrix [rows, columns], got ${show(shape)}`)
  return [dim(shape, 0), dim(shape, 1)]
}

/** The four dimensions of images. Throws ShapeError, beginning with `what`, for other shapes. */
export function images(shape: Shape, what: string): [N: number, H: number, W: number, C: number] {
  if (shape.length !== 4)
    throw new ShapeError(`${what} must be images [N, H, W, C], got ${show(shape)}`)
  return [dim(shape, 0), dim(shape, 1), dim(shape, 2), dim(shape, 3)]
}

/** The size of a dimension that the caller has already checked to exist. */
export function dim(shape: Shape, axis: number): number {
  const size = shape[axis]
  if (size === undefined) throw new ShapeError(`no axis ${axis} in ${show(shape)}`)
  return size
}

const GROUP = 64

/** `count` workgroups or a few more, folded over two dimensions, because one may have only 65,535.
 *  The kernel computes its number, which may lie beyond the last, as `group.y * groups.x +
 *  group.x`. */
export function folded(count: number): readonly [x: number, y: number] {
  const y = Math.max(1, Math.ceil(count / MAX_GROUPS_PER_DIM))
  return [Math.ceil(count / y), y]
}

/** Workgroups of 64 threads, folded over two dimensions, for one thread per element. The kernel
 *  computes its element with `flat(id, groups)` of `flatIndex`. */
export const elementwise = (count: number) => folded(Math.ceil(count / GROUP))

/** `flat(id, groups)`: the element of this thread in a dispatch shaped by `elementwise`. */
export const flatIndex = wgsl`
  fn flat(id: vec3u, groups: vec3u) -> u32 { return id.y * groups.x * 64u + id.x; }
`
