// The commands of a step, collected in JavaScript and submitted when they are flushed, as one
// command buffer, or in pieces (submissions.ts). Error scopes are open only while the engine itself
// calls WebGPU, so that an app's own device keeps the app's errors.

import type { Kernel, Scalar } from '../kernels/op.ts'
import { BindGroups } from './bind-groups.ts'
import { type Cost, Costs } from './cut.ts'
import { type Encodable, type Timer, encode } from './encode.ts'
import { type GpuError, type Watch, errorOf } from './errors.ts'
import { type Binding, type Block, type Storage, USAGE, bindingOf, needing } from './memory.ts'
import { orderedParams, paramOf, writeParam } from './params.ts'
import type { Pipeline } from './pipelines.ts'
import { Submissions, type Work } from './submissions.ts'
import type { PipelineUse, Unsubmitted } from './unsubmitted.ts'
import type { Dispatched, Recorded, Trace } from './capture/trace.ts'

const UNIFORM_BYTES = 1 << 20 // of Params in one command buffer: 4,096 dispatches at least
const LABEL = { label: 'kindred' }

/** Collects dispatches and copies, and submits them together. */
export class Commands {
  readonly device: GPUDevice
  /** Alignment of a dispatch's Params, in bytes. */
  readonly align: number
  /** Records the step that is running, if it is captured. */
  trace: Trace | null = null
  /** Times dispatches while something profiles. */
  timer: Timer | null = null
  /** Throws DeviceLostError when the device was lost or the Gpu was destroyed. */
  readonly checkAlive: () => void
  readonly bindGroups: BindGroups
  readonly submissions: Submissions
  readonly #costs = new Costs()
  readonly #watch: Watch
  readonly #uniforms: GPUBuffer
  #params = new DataView(new ArrayBuffer(UNIFORM_BYTES))
  #pending: Unsubmitted[] = []
  #isShared = false // true once an app's buffer is used by a pending command
  #paramBytes = 0
  #flushes = 0
  #submits = 0
  #dispatches = 0

  /** `onWait` is called when waiting for the GPU begins, and its result when it ends. */
  constructor(device: GPUDevice, watch: Watch, checkAlive: () => void, onWait: () => () => void) {
    this.device = device
    this.checkAlive = checkAlive
    this.#watch = watch
    this.bindGroups = new BindGroups(device)
    this.submissions = new Submissions(device.queue, (work) => this.#submitNow(work), onWait)
    this.align = device.limits.minUniformBufferOffsetAlignment
    this.#uniforms = device.createBuffer({
      label: 'kindred params',
      size: UNIFORM_BYTES,
      usage: USAGE.UNIFORM | USAGE.COPY_DST,
    })
  }

  /** How often commands were flushed or replayed. */
  get flushes(): number {
    return this.#flushes
  }

  /** Counts since the start: kernels dispatched, command buffers submitted, bind groups created. */
  get counts() {
    const { made: bindGroups } = this.bindGroups
    return { dispatches: this.#dispatches, submits: this.#submits, bindGroups }
  }

  dispatch(
    pipeline: Pipeline,
    kernel: Kernel,
    storages: readonly Storage[],
    params: Readonly<Record<string, Scalar>>,
    groups: readonly [number, number, number],
  ) {
    const scalars = orderedParams(kernel, params)
    const values = scalars.map((scalar, field) => paramOf(kernel, field, scalar))
    this.trace?.dispatch({ pipeline, kernel, groups }, storages, { params: scalars, values })
    if (!this.trace?.recordsOnly) this.#enqueue(pipeline, kernel, storages, { values, groups })
  }

  /** Executes a recorded command on these storages. */
  execute(command: Recorded, storages: readonly Storage[]) {
    const [first, second] = storages
    if (command.kind === 'dispatch')
      this.#enqueue(command.pipeline, command.kernel, storages, command)
    else if (command.kind === 'upload' && first) this.write(first, command.constant)
    else if (command.kind === 'copy' && first && second) this.copy(first, second, command.at)
  }

  #enqueue(
    pipeline: Pipeline,
    kernel: Kernel,
    storages: readonly Storage[],
    { values, groups }: Pick<Dispatched, 'values' | 'groups'>,
  ) {
    this.checkAlive() // the function of a param may have destroyed the Gpu
    if (this.#paramBytes + pipeline.paramBytes + this.align > UNIFORM_BYTES) this.flush()
    const offset = this.#paramBytes
    for (const [field, value] of values.entries())
      writeParam(this.#params, offset, kernel, field, value)
    this.#paramBytes = Math.ceil((offset + pipeline.paramBytes) / this.align) * this.align
    const bindings = storages.map((s) => this.#bind(s))
    this.#pending.push({ kind: 'dispatch', pipeline, bindings, offset, groups })
  }

  /** Tells whether a block is used by commands that are not submitted yet. */
  isPending(block: Block): boolean {
    return block.used === this.#flushes
  }

  /** Copies a storage into another one, to byte `at`. */
  copy(from: Storage, to: Storage, at = 0) {
    if (at + from.bytes > to.bytes)
      throw new Error(`a copy of ${from.bytes} bytes to byte ${at} does not fit in ${to.bytes}`)
    needing(from, 'COPY_SRC')
    needing(to, 'COPY_DST')
    this.trace?.copy(from, to, at)
    if (this.trace?.recordsOnly) return
    const { block, offset } = this.#bind(to)
    const source = this.#bind(from)
    this.#pending.push({ kind: 'copy', from: source, to: block.buffer, at: offset + at })
  }

  /** Copies a storage into a buffer for JavaScript to read. */
  copyOut(from: Storage, buffer: GPUBuffer) {
    this.trace?.refuse('gpu.read was called in the step; return the tensor and read it after')
    const source = this.#bind(needing(from, 'COPY_SRC'))
    this.#pending.push({ kind: 'copy', from: source, to: buffer, at: 0 })
  }

  /** Writes bytes into a storage now. First submits the collected commands if they use its
   *  buffer. */
  write(to: Storage, bytes: Uint8Array<ArrayBuffer>) {
    this.checkAlive()
    const { block, offset } = needing(to, 'COPY_DST')
    if (!block) return
    const needed = Math.ceil(to.bytes / 4) * 4
    if (bytes.byteLength !== needed)
      throw new Error(
        `a write of ${bytes.byteLength} bytes does not fill the ${needed} bytes of its tensor`,
      )
    if (to.permanent)
      this.trace?.refuse(
        'a variable was written from JavaScript in the step; do it between steps',
        { without: true },
      )
    else this.trace?.upload(to, bytes)
    if (this.trace?.recordsOnly) return
    if (this.isPending(block)) this.flush()
    block.writes++
    this.submissions.write(block.buffer, offset, bytes)
    if (block.isShared) this.submissions.finish()
  }

  /** Drops the commands that are not submitted yet. */
  drop() {
    this.#pending = []
    this.#isShared = false
    this.#paramBytes = 0
  }

  /** Submits all commands collected so far, in their turn. */
  flush() {
    this.checkAlive()
    if (this.#pending.length === 0) return
    const commands = this.#pending
    const bytes = this.#paramBytes
    const isShared = this.#isShared
    this.drop()
    if (bytes > 0)
      this.submissions.write(this.#uniforms, 0, new Uint8Array(this.#params.buffer, 0, bytes))
    let encodables: readonly Encodable[] = []
    this.guard(() => {
      encodables = commands.map((command) => this.#encodable(command))
    })
    this.submit(encodables, LABEL, { isShared })
  }

  /** Submits all commands collected so far, and all that wait for their turn, now. */
  finish() {
    this.flush()
    this.submissions.finish()
  }

  /** Submits commands in their turn; now if they use a buffer that is shared with an app, which
   *  may submit or write something next. */
  submit(
    commands: readonly Encodable[],
    label: { readonly label: string },
    { isShared }: { readonly isShared: boolean },
  ) {
    this.#flushes++
    this.#watch(this.submissions.add({ commands, label, timer: this.timer }))
    if (isShared) this.submissions.finish()
  }

  /** Returns the cost of a dispatch or a copy: that of all like it. */
  costOf(command: { readonly bindings: readonly Binding[] } & Partial<PipelineUse>): Cost {
    const bytes = command.bindings.reduce((sum, binding) => sum + binding.bytes, 0)
    return this.#costs.of(`${command.pipeline?.id ?? 'copy'} ${command.groups?.join()} ${bytes}`)
  }

  /** Reports the errors of the WebGPU calls that `body` makes. */
  guard(body: () => void) {
    this.#watch(errorOf(this.device, body))
  }

  /** Submits work as one command buffer. */
  #submitNow({ commands, label, timer }: Work): Promise<GpuError | null> {
    this.#submits++
    return errorOf(this.device, () => {
      const encoder = this.device.createCommandEncoder(label)
      this.#dispatches += encode(encoder, commands, label, timer)
      this.device.queue.submit([encoder.finish()])
    })
  }

  /** Frees all memory, even if something still refers to this object. */
  destroy() {
    this.drop()
    this.submissions.drop()
    this.bindGroups.clear()
    this.#params = new DataView(new ArrayBuffer(0))
    this.#uniforms.destroy()
  }

  #encodable(command: Unsubmitted): Encodable {
    if (command.kind === 'copy')
      return { ...command, cost: this.costOf({ bindings: [command.from] }) }
    const { kind, pipeline, bindings, offset, groups } = command
    const group = this.bindGroups.get(pipeline, bindings, this.#uniforms)
    const offsets = pipeline.paramBytes > 0 ? [offset] : []
    return { kind, pipeline, group, offsets, groups, cost: this.costOf(command) }
  }

  #bind(storage: Storage): Binding {
    if (storage.block) storage.block.used = this.#flushes
    this.#isShared ||= storage.block?.isShared ?? false
    return bindingOf(storage)
  }
}
