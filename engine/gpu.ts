/// <reference lib="esnext.disposable" preserve="true" />
// The public class of the engine. assemble.ts makes its parts.

import type {
  DType,
  Machine,
  Op,
  Pass,
  Run,
  Shape,
  Tensor,
  TensorList,
  Values,
  Variable,
} from '../kernels/op.ts'
import { callback, checkValue } from '../kernels/options.ts'
import { applyOp } from './apply.ts'
import { type Assembly, assemble, endOf, statsOf } from './assemble.ts'
import type { Tuner } from './autotune.ts'
import { type BackwardOptions, type Weighted, backward, pullback } from './backward.ts'
import { type CaptureOptions, Captured } from './capture/capture.ts'
import type { Input } from './capture/inputs.ts'
import { claimed } from './claims.ts'
import { free } from './free.ts'
import { type GpuOptions, checkGpuOptions, rules, showGpu } from './gpu-rules.ts'
import { Printed } from './inspect.ts'
import { makeLeaf, makeTensor, makeVariable } from './make.ts'
import type { Gradients } from './optim/gradients.ts'
import type { Carried, StepResult } from './step-result.ts'
import { noGrad } from './steps.ts'
import { type TensorBuffer, type WrapOptions, bufferOf, wrap } from './wrap.ts'

/** A GPU that runs and differentiates ops. Make one with `openGpu()`, or with `new Gpu(device)` in
 *  an app that owns a GPUDevice: the device stays the app's, its handlers are not touched and it is
 *  never destroyed. After `destroy`, or once the device is lost, calls throw DeviceLostError. */
export class Gpu extends Printed implements Machine {
  readonly device: GPUDevice
  /** True on a software adapter, which computes on the CPU. */
  readonly software: boolean
  readonly run: Run
  /** Measures which kernels are the fastest on this device, when its `tune` is called. */
  readonly tuner: Tuner
  readonly #parts: Assembly

  /** Throws Error when the device does not support the precision. */
  constructor(device: GPUDevice, options: GpuOptions = {}) {
    super()
    checkGpuOptions(options)
    this.device = checkValue('Gpu', 'device', device, rules.device)
    this.#parts = assemble(this, device, options)
    this.software = this.#parts.software
    this.run = this.#parts.run
    this.tuner = this.#parts.tuner
  }

  /** Makes a tensor that holds `values`, of `shape` or their own. Their kind decides the dtype:
   *  Uint8Array and Uint8ClampedArray give u8, other integers i32, floats and plain arrays f32. A
   *  tensor made inside a step is freed with it; outside, it lives as long as you hold it. Throws
   *  ShapeError, TypeError if `values` are no numbers, and RangeError for a number that the dtype
   *  cannot hold. */
  tensor(values: Values, shape?: Shape): Tensor {
    return makeTensor(this.#alive(), values, shape)
  }

  /** Makes a tensor that may be written in place: a parameter, a running statistic, a queue. No
   *  step frees it: it lives until `free` or `destroy`, or until nothing refers to it. Throws like
   *  `tensor`. */
  variable(values: Values, shape?: Shape): Variable {
    return makeVariable(this.#alive(), values, shape)
  }

  /** Makes a variable of an app's buffer, without a copy. What is written to it goes to the buffer,
   *  and kernels read what the app's submits before them wrote. The buffer stays the app's: nothing
   *  here destroys it. Throws ShapeError where it is too small, and Error without STORAGE. */
  wrap(buffer: GPUBuffer, shape: Shape, dtype: DType, options?: WrapOptions): Variable {
    return wrap(this.#alive(), buffer, shape, dtype, options)
  }

  /** Returns where a tensor lies, for an app's own commands, and submits all dispatches so far. It
   *  holds as long as the tensor, and for a variable until an optimizer is made of it: hold the
   *  tensor, and ask again then. Throws Error within a step, and for a freed tensor. */
  bufferOf(tensor: Tensor): TensorBuffer {
    return bufferOf(this.#alive(), tensor)
  }

  /** Overwrites a variable; values of another kind are converted to its dtype. Throws ShapeError
   *  for another count of values than its size, and like `tensor`. */
  write(variable: Variable, values: Values) {
    this.#alive().tensors.write(variable, values)
  }

  /** Most milliseconds of a submit; null, the default, submits a whole step. With a budget, steps are
   *  cut into pieces, of which at most two are on their way: whoever shares the GPU waits for no
   *  more. Later calls wait behind them, so results have the same bits. Throws TypeError. */
  get budget(): number | null {
    return this.#parts.commands.submissions.budget
  }

  set budget(ms: number | null) {
    this.#alive().commands.submissions.budget = checkValue('Gpu', 'budget', ms, rules.budget)
  }

  /** Reads the tensor's values, row by row, u8 and i32 as floats; it may be freed meanwhile. Throws the
   *  first GpuError since the last await, DeviceLostError, and RangeError for an i32 that no f32 is. */
  read(t: Tensor): Promise<Float32Array> {
    return this.#parts.reads.read(t)
  }

  /** Reads the number in a tensor of one element. Throws ShapeError for others, and like `read`. */
  item(t: Tensor): Promise<number> {
    return this.#parts.reads.item(t)
  }

  /** Submits all dispatches and waits until the GPU has finished them. Throws like `read`. */
  sync(): Promise<void> {
    return this.#parts.reads.sync()
  }

  /** Throws the first GpuError or DeviceLostError reported since the last check. */
  check(): Promise<void> {
    return this.#parts.reads.check()
  }

  /** Runs one training step and frees its tensors but those it returns, which live until the next
   *  step ends. If the body throws, neither variables nor counters have changed since it last read. */
  step<T extends StepResult>(body: () => T): T {
    return this.#alive().steps.run(checkValue('Gpu.step', 'body', body, callback))
  }

  /** Runs `carry = body(carry, item)` for each item and returns the last carry, which lives as long as
   *  tensors made outside. A turn's memory is freed at its end, but for the carry. Throws Error. */
  fold<Item, Carry extends Carried>(
    items: readonly Item[],
    carry: Carry,
    body: (carry: Carry, item: Item) => Carry,
  ): Carry {
    return this.#alive().steps.fold(items, carry, body)
  }

  /** Records the GPU commands of `body`, which is called with tensors that hold the inputs of
   *  `run`. After two identical recordings in a row, later calls replay them without running the
   *  JavaScript. A number that changes between steps must be a function; counters go in `everyStep`. */
  capture<In extends readonly Input[], T extends StepResult>(
    body: (...inputs: In) => T,
    options: CaptureOptions = {},
  ): Captured<In, T> {
    return new Captured(this.#alive(), body, options)
  }

  /** Calls `action` now and in each replay, to count. `undo` takes a call back if the step throws. */
  everyStep(action: () => void, undo?: () => void) {
    this.#alive().steps.counters.everyStep(action, undo)
  }

  /** Keeps the captured step that is running from being replayed, for a `reason`. */
  keepEager(reason: string) {
    this.#alive().commands.trace?.refuse(reason, { without: true })
  }

  /** Submits all dispatches and waits until the GPU has finished all but those of the last `most`
   *  calls: a loop that awaits it once per step stays at most so many ahead. Throws like `read`. */
  pace(most = 2): Promise<void> {
    return this.#parts.reads.pace(most)
  }

  /** Runs `body` without recording on the tape: nothing in it carries a gradient. Outside of a step,
   *  frees its tensors when it ends, except those in its result, also within arrays, maps, sets and
   *  objects; they live as long as you hold them. Throws Error for an async body. */
  noGrad<T>(body: () => T): T {
    return noGrad(this.#alive(), body)
  }

  /** Returns x without its history: gradients flow to it and no further. */
  leaf(x: Tensor): Tensor {
    return makeLeaf(this.#alive(), x)
  }

  /** Computes the gradients of `output`, weighted by `cotangent` (ones by default), with respect to
   *  all tensors that it was computed from; within a step, leaves only, so that the memory of the
   *  others is reused at once. With `of`, of these tensors alone. Throws ShapeError, TypeError for
   *  what is no tensor, and Error when a variable was changed since the forward pass. */
  backward(output: Tensor, cotangent?: Tensor, options?: BackwardOptions): Gradients {
    return backward(this.#alive(), output, cotangent, options)
  }

  /** Computes gradients as `backward` does, of several outputs with a cotangent each. */
  pullback(weighted: Weighted, options?: BackwardOptions): Gradients {
    return pullback(this.#alive(), weighted, options)
  }

  claim(name: string, by: object, pass: Pass): boolean {
    return claimed(this.#parts, name, by, pass)
  }

  largest(x: Tensor): number | undefined {
    return this.#parts.tensors.largest(x)
  }

  override toString() {
    return showGpu(this)
  }

  apply<In extends TensorList, Out extends TensorList, A>(
    op: Op<In, Out, A>,
    attrs: A,
    inputs: In,
  ): Readonly<Out> {
    return applyOp(this.#alive(), op, attrs, inputs)
  }

  /** Moves variables into one buffer, in order, each aligned to 256 bytes. Returns it as one flat
   *  variable, which optimizers update in one dispatch, and each one's offset in it, in elements. */
  flatten(variables: readonly Variable[]): { flat: Variable; offsets: readonly number[] } {
    return this.#alive().tensors.flatten(variables)
  }

  /** Tells whether a variable that `flatten` moved still lies in that flat variable. */
  isWithin(variable: Variable, flat: Variable): boolean {
    return this.#alive().tensors.isWithin(variable, flat)
  }

  /** Returns counts of the work since the start, and the bytes of buffers alive now. */
  stats() {
    return statsOf(this.#parts)
  }

  /** Frees tensors and variables now: those given, and those in models, arrays and objects; of an
   *  optimizer or a moving average, its own variables but not its parameters; of a method, all of
   *  these. Using a freed tensor throws; freeing it twice does nothing. Throws Error within a step,
   *  for a thing without tensors, and for another Gpu's tensor. */
  free(...things: readonly object[]) {
    free(this.#alive(), things)
  }

  /** Frees every buffer but an app's, and destroys the device if this Gpu owns it. */
  destroy() {
    endOf(this.#parts)
  }

  /** Calls `destroy` at the end of a block with `using gpu = ...`. */
  [Symbol.dispose]() {
    this.destroy()
  }

  /** Returns the parts. Throws DeviceLostError if the Gpu was lost or destroyed. */
  #alive(): Assembly {
    this.#parts.lifetime.check()
    return this.#parts
  }
}
