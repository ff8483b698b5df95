// The contract between the vocabulary (kernels/) and the machine (engine/).
// This file imports checks alone: kernels depend on it, the engine implements it.

import { MAX_GROUPS_PER_DIM } from './limits.ts'
import { describe, isTensor, notTensor } from './options.ts'

export type Shape = readonly number[]

/** Element types: f32 for everything that is computed, i32 for labels and indices, u8 for images, f16 for what an op
 *  keeps to itself. */
export type DType = 'f32' | 'i32' | 'u8' | 'f16'

/** Arithmetic of matrix products and convolutions; all sums are kept in f32 whatever it is. 'f32' is exact; 'f16x3' lets
 *  tensor cores come close to it, by three products of halves; 'f16' allows factors to be rounded to f16 (11 bits, as
 *  TF32 has). A device without what it takes computes more exactly. */
export type Precision = 'f32' | 'f16x3' | 'f16'

/** What ops keep for the backward pass: 'f32', the images as they are, or 'f16', halves of them where an op can do with these: the
 *  forward pass stays the same to the bit, gradients are computed from what is rounded to 11 bits, and
 *  that takes half the memory. */
export type Activations = 'f32' | 'f16'

/** A block of numbers on the GPU. Ops never change a tensor; they read some and make new ones. */
export interface Tensor {
  readonly shape: Shape
  readonly dtype: DType
  readonly gpu: Machine
}

/** A tensor that lives on and is written in place: a parameter, a running statistic, a queue. */
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

/** What an op may ask of the GPU that its inputs live on. */
export interface Machine {
  /** Runs the op on the inputs, records it for the backward pass, and returns its outputs. */
  apply<In extends Tensors, Out extends Tensors, A>(op: Op<In, Out, A>, attrs: A, inputs: In): Readonly<Out>
  /** Puts values on the GPU, of this shape or of the one that they have. */
  tensor(values: Values, shape?: Shape): Tensor
  readonly run: Run
  /** False if something else has claimed the name: on the way forward, in this step; on the way
   *  back, outside of steps, in this backward pass. Claims under `noGrad` do not count. */
  claim?(name: string, by: object, pass: Pass): boolean
  /** The largest of a sample of the values that JavaScript gave for a tensor of images;
   *  undefined for any other tensor. */
  largest?(x: Tensor): number | undefined
}

/** The two ways through an op. */
export type Pass = 'forward' | 'backward'

export type Tensors = readonly [Tensor, ...Tensor[]]

/** A differentiable function of tensors: one file in kernels/, one test in test/. */
export interface Op<In extends Tensors, Out extends Tensors = [Tensor], A = object> {
  readonly name: string
  /** What each input may be, in order; inputs not named must be f32. 'index' is f32 or i32 holding integers. */
  readonly accepts?: readonly (DType | 'index')[]
  /** The first output's shape; throws ShapeError. Needs no GPU and runs before anything is dispatched. */
  shape(attrs: A, ...inputs: { [I in keyof In]: Shape }): Shape
  /** Returns the outputs, then whatever the backward pass needs. Tensors made inside and not returned die at once. */
  forward(run: Run, attrs: A, ...inputs: In): Readonly<Out>
  /** Vector-Jacobian product: one gradient per input, null where none flows or `needs` says none is wanted.
   *  The first output's cotangent is always there; the others' are null when nothing depends on them.
   *  An op without a backward (augmentation, integer outputs) is a constant to the tape. */
  backward?(
    run: Run,
    attrs: A,
    cotangents: readonly [Tensor, ...(Tensor | null)[]],
    inputs: In,
    outputs: Readonly<Out>,
    needs: readonly boolean[],
  ): readonly (Tensor | null)[]
}

/** Makes an op callable: it asks its first input's own machine to run it, and returns the first
 *  output. `names` are its inputs', 'x' if it has but one. The call throws TypeError for an
 *  input that is no tensor. */
export function op<In extends Tensors, Out extends Tensors = [Tensor], A = object>(
  def: Op<In, Out, A>,
  ...names: readonly string[]
) {
  return (attrs: A, ...inputs: In): Tensor => {
    for (let i = 0; i < Math.max(1, inputs.length); i++)
      if (!isTensor(inputs[i]))
        throw notTensor(def.name, names[i] ?? (i === 0 ? 'x' : `input ${i}`), inputs[i])
    return inputs[0].gpu.apply(def, attrs, inputs)[0]
  }
}

/** Runs one kernel and returns one fresh tensor per entry of `makes`. Fresh tensors hold garbage: write every element. */
export interface Run {
  <const Makes extends readonly Make[] = []>(
    kernel: Kernel,
    dispatch: Dispatch<Makes>,
  ): { [I in keyof Makes]: Tensor }
  /** The same memory under another shape of the same size. */
  view(x: Tensor, shape: Shape): Tensor
  /** Puts values on the GPU for the time of this op. */
  tensor(values: Values, shape?: Shape): Tensor
  /** Computes something in one of several ways that give the same bits: the fastest one measured on this device, or, where
   *  nothing was measured under that name, the one guessed. */
  race<T>(name: string, ways: number, guess: number, compute: (way: number) => T): T
  /** True on a CPU adapter, where light kernels win. */
  readonly software: boolean
  /** What the user allows; f16x3 and f16 imply that the device has f16. */
  readonly precision: Precision
  /** What ops keep of images for the backward pass; 'f32' where there will be none. */
  readonly activations: Activations
  /** Whether kernels may say `enable f16`. */
  readonly f16: boolean
  /** Whether there are subgroup matrices, f16 by f16 to f32 of 16 x 16 x 16, in subgroups of 32 threads. */
  readonly matrices: boolean
  /** Bytes of memory that a workgroup may share. */
  readonly workgroupBytes: number
  /** True in tests that compute those matrices in plain WGSL. */
  readonly emulated: boolean
  /** The fewest threads that a subgroup may have; 0 where WGSL's subgroups are missing. */
  readonly subgroupSize: number
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

/** A number; or, where every step needs its own, a function that says what it is now: a captured step asks it again each
 *  time. It must have no effects, and read state that lives on (`() => state.step`), not a number of one call. */
export type Scalar = number | (() => number)

/** What a scalar is now. */
export const valueOf = (scalar: Scalar) => (typeof scalar === 'number' ? scalar : scalar())

/** A number computed from a scalar, as changeable as that is. */
export const derive = (from: Scalar, compute: (value: number) => number): Scalar =>
  typeof from === 'number' ? compute(from) : () => compute(from())

export type Access = 'read' | 'read_write' | 'uniform'

export interface Kernel {
  /** The entry point's name, which is also the label that GPU debuggers and errors show. */
  readonly name: string
  readonly source: string
  /** Access of each binding, by binding number. */
  readonly bindings: readonly Access[]
  readonly params: readonly (readonly [name: string, type: string])[]
}

/** A WGSL program. Its name, bindings and Params are read from its own source, so that they are written once.
 *  Only other WGSL fits in the holes: numbers go in Params or overrides, never in the text. */
export function kernel(strings: TemplateStringsArray, ...snippets: Wgsl[]): Kernel {
  const source = wgsl(strings, ...snippets)
  const code = source.replaceAll(/\/\/.*|\/\*[^]*?\*\//g, '') // comments are no declarations
  const [, name] = code.match(/@compute[^{]*?\bfn\s+(\w+)/) ?? []
  if (name === undefined)
    throw new TypeError('kernel: the WGSL must have an entry point, @compute fn name(...)')
  const bindings: Access[] = []
  for (const [, index, space, access] of code.matchAll(/@binding\((\d+)\)\s*var<(\w+)(?:,\s*(\w+))?>/g)) {
    bindings[Number(index)] =
      space === 'uniform' ? 'uniform' : access === 'read_write' ? 'read_write' : 'read'
  }
  const [, fields = ''] = code.match(/\bstruct\s+Params\s*\{([^}]*)\}/) ?? []
  return { name, source, bindings, params: fields.split(/[,;]/).flatMap((field) => paramOf(name, field)) }
}

/** A member of `struct Params`. Throws TypeError for one that is not laid out as 4 bytes. */
function paramOf(name: string, field: string): (readonly [field: string, type: string])[] {
  const text = field.trim()
  if (text === '') return []
  const [, member = '', type = ''] = text.match(/^(\w+)\s*:\s*(f32|i32|u32)$/) ?? []
  if (member === '')
    throw new TypeError(
      `kernel ${name}: members of struct Params must be f32, i32 or u32 without attributes, got '${text}'; give each component a member of its own`,
    )
  return [[member, type]]
}

/** WGSL that several kernels share. Throws TypeError for a hole filled with anything but WGSL. */
export function wgsl(strings: TemplateStringsArray, ...snippets: Wgsl[]): Wgsl {
  const given: unknown = strings
  if (typeof given !== 'object' || given === null || !('raw' in given))
    throw new TypeError(
      `wgsl: it is a tag, to write in front of a template, wgsl\`...\`, got ${describe(given)}`,
    )
  for (const snippet of snippets as readonly unknown[])
    if (typeof snippet !== 'string')
      throw new TypeError(
        `wgsl: only WGSL fits in a hole, got ${describe(snippet)}; numbers go in Params or override declarations`,
      )
  return String.raw(strings, ...snippets) as Wgsl // the brand exists only in the type
}

export type Wgsl = string & { readonly [isWgsl]: true }
declare const isWgsl: unique symbol

/** Thrown by `shape` before anything is dispatched: `op: rule in words, got shapes`. */
export class ShapeError extends Error {
  override readonly name = 'ShapeError'
}

/** A shape as it is written in messages: [64, 128]. */
export const show = (shape: Shape) => `[${shape.join(', ')}]`

/** The number of elements of a shape. */
export const sizeOf = (shape: Shape) => shape.reduce((a, b) => a * b, 1)

/** The two dimensions of a matrix; throws ShapeError naming it otherwise. */
export function matrix(shape: Shape, what: string): [rows: number, columns: number] {
  const [rows, columns] = shape
  if (shape.length !== 2 || rows === undefined || columns === undefined)
    throw new ShapeError(`${what} must be a matrix [rows, columns], got ${show(shape)}`)
  return [rows, columns]
}

/** The four dimensions of a batch of images; throws ShapeError naming it otherwise. */
export function images(shape: Shape, what: string): [N: number, H: number, W: number, C: number] {
  const [N, H, W, C] = shape
  if (shape.length !== 4 || N === undefined || H === undefined || W === undefined || C === undefined)
    throw new ShapeError(`${what} must be images [N, H, W, C], got ${show(shape)}`)
  return [N, H, W, C]
}

/** The size of a dimension that the caller has already checked to exist. */
export function dim(shape: Shape, axis: number): number {
  const size = shape[axis]
  if (size === undefined) throw new ShapeError(`no axis ${axis} in ${show(shape)}`)
  return size
}

const GROUP = 64

/** So many workgroups, or a few more, folded over two dimensions, as one alone may have 65,535. The
 *  kernel finds its own number, which may go beyond the last, as `group.y * groups.x + group.x`. */
export function folded(count: number): readonly [x: number, y: number] {
  const y = Math.max(1, Math.ceil(count / MAX_GROUPS_PER_DIM))
  return [Math.ceil(count / y), y]
}

/** Workgroups of 64 threads, folded over two dimensions, for one thread per element.
 *  The kernel finds its element with `flat(id, groups)` from `flatIndex`. */
export const elementwise = (count: number) => folded(Math.ceil(count / GROUP))

/** `flat(id, groups)`: the element of this thread in a dispatch shaped by `elementwise`. */
export const flatIndex = wgsl`
  fn flat(id: vec3u, groups: vec3u) -> u32 { return id.y * groups.x * 64u + id.x; }
`
