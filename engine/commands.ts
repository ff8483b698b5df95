// The commands of a step, collected in JavaScript and encoded into one command buffer when they are flushed.
// Error scopes are open only while the engine itself calls WebGPU, so that a caller's own device keeps its own errors.

import type { Kernel } from '../kernels/op.ts'
import { GpuError, type Watch } from './errors.ts'
import { type Block, type Storage, USAGE } from './memory.ts'
import type { Pipeline } from './pipelines.ts'
import { wholeWords } from './values.ts'

const UNIFORM_BYTES = 1 << 20 // parameters of one command buffer, 4,096 dispatches at least; beyond that another is begun

const MOST_BIND_GROUPS = 16384 // work that never repeats would pile them up

type Command =
  | {
      readonly kind: 'dispatch'
      readonly pipeline: Pipeline
      readonly bindings: readonly Binding[]
      readonly offset: number
      readonly groups: readonly [number, number, number]
    }
  | { readonly kind: 'copy'; readonly from: Binding; readonly buffer: GPUBuffer; readonly at: number }

interface Binding {
  readonly id: number
  readonly buffer: GPUBuffer
  readonly offset: number
  readonly bytes: number
}

/** Collects dispatches and copies, and submits them as one command buffer. */
export class Commands {
  readonly #device: GPUDevice
  readonly #watch: Watch
  readonly #uniforms: GPUBuffer
  readonly #params = new DataView(new ArrayBuffer(UNIFORM_BYTES))
  readonly #align: number
  readonly #bindGroups = new Map<string, GPUBindGroup>()
  #pending: Command[] = []
  #paramBytes = 0
  #serial = 0
  #dispatches = 0
  #bindGroupsMade = 0

  constructor(device: GPUDevice, watch: Watch) {
    this.#device = device
    this.#watch = watch
    this.#align = device.limits.minUniformBufferOffsetAlignment
    this.#uniforms = device.createBuffer({
      label: 'kindred params',
      size: UNIFORM_BYTES,
      usage: USAGE.UNIFORM | USAGE.COPY_DST,
    })
  }

  /** Counts since the start: kernels dispatched, command buffers submitted, bind groups created. */
  get counts() {
    return { dispatches: this.#dispatches, submits: this.#serial, bindGroups: this.#bindGroupsMade }
  }

  dispatch(
    pipeline: Pipeline,
    kernel: Kernel,
    storages: readonly Storage[],
    params: Readonly<Record<string, number>>,
    groups: readonly [number, number, number],
  ) {
    if (this.#paramBytes + pipeline.paramBytes + this.#align > UNIFORM_BYTES) this.flush()
    const offset = this.#paramBytes
    if (pipeline.paramBytes > 0) {
      this.#writeParams(kernel, params)
      this.#paramBytes = Math.ceil((offset + pipeline.paramBytes) / this.#align) * this.#align
    }
    const bindings = storages.map((s) => this.#bind(s))
    this.#pending.push({ kind: 'dispatch', pipeline, bindings, offset, groups })
  }

  /** Whether commands that are not yet submitted use a block. */
  isWaiting(block: Block): boolean {
    return block.used === this.#serial
  }

  /** Copies a storage into another buffer at a byte offset. */
  copy(from: Storage, to: GPUBuffer | Storage, at = 0) {
    const source = this.#bind(from)
    const { buffer, offset } = 'block' in to ? this.#bind(to) : { buffer: to, offset: 0 }
    this.#pending.push({ kind: 'copy', from: source, buffer, at: offset + at })
  }

  /** Writes bytes into a storage now; commands already collected that use its buffer are submitted first. */
  write(to: Storage, bytes: Uint8Array<ArrayBuffer>) {
    const { block, offset } = to
    if (!block) return
    if (this.isWaiting(block)) this.flush()
    block.writes++
    this.#device.queue.writeBuffer(block.buffer, offset, bytes)
  }

  /** Forgets what was collected and not yet submitted. */
  drop() {
    this.#pending = []
    this.#paramBytes = 0
  }

  /** Encodes and submits everything collected so far. */
  flush() {
    if (this.#pending.length === 0) return
    const device = this.#device
    const commands = this.#pending
    const bytes = this.#paramBytes
    this.#pending = []
    this.#paramBytes = 0
    this.#serial++
    device.pushErrorScope('out-of-memory')
    device.pushErrorScope('internal')
    device.pushErrorScope('validation')
    if (bytes > 0) device.queue.writeBuffer(this.#uniforms, 0, this.#params.buffer, 0, bytes)
    device.queue.submit([this.#encode(commands)])
    for (let scope = 0; scope < 3; scope++) {
      this.#watch(device.popErrorScope().then((error) => (error ? new GpuError(error.message) : null)))
    }
  }

  /** Forgets the cached bind groups: buffers they name were destroyed. */
  clearBindGroups() {
    this.#bindGroups.clear()
  }

  destroy() {
    this.drop()
    this.#uniforms.destroy()
  }

  #encode(commands: readonly Command[]): GPUCommandBuffer {
    const encoder = this.#device.createCommandEncoder({ label: 'kindred' })
    let pass: GPUComputePassEncoder | null = null
    for (const command of commands) {
      if (command.kind === 'copy') {
        pass?.end()
        pass = null
        const { from, buffer, at } = command
        encoder.copyBufferToBuffer(from.buffer, from.offset, buffer, at, wholeWords(from.bytes))
        continue
      }
      pass ??= encoder.beginComputePass({ label: 'kindred' })
      const { pipeline, offset, groups } = command
      pass.setPipeline(pipeline.pipeline)
      pass.setBindGroup(0, this.#bindGroup(command), pipeline.paramBytes > 0 ? [offset] : [])
      pass.dispatchWorkgroups(...groups)
      this.#dispatches++
    }
    pass?.end()
    return encoder.finish()
  }

  #bindGroup({ pipeline, bindings }: Command & { kind: 'dispatch' }): GPUBindGroup {
    let key = String(pipeline.id)
    for (const b of bindings) key += `,${b.id}:${b.offset}:${b.bytes}`
    let group = this.#bindGroups.get(key)
    if (!group) {
      if (this.#bindGroups.size >= MOST_BIND_GROUPS) this.#bindGroups.clear()
      const entries: GPUBindGroupEntry[] = bindings.map((b, binding) => ({
        binding,
        resource: { buffer: b.buffer, offset: b.offset, size: b.bytes },
      }))
      if (pipeline.paramBytes > 0)
        entries.push({
          binding: bindings.length,
          resource: { buffer: this.#uniforms, size: pipeline.paramBytes },
        })
      group = this.#device.createBindGroup({ label: pipeline.name, layout: pipeline.layout, entries })
      this.#bindGroups.set(key, group)
      this.#bindGroupsMade++
    }
    return group
  }

  #bind(storage: Storage): Binding {
    const block = storage.block
    if (!block) throw new Error('a tensor was used after the step it was made in')
    block.used = this.#serial
    return { id: block.id, buffer: block.buffer, offset: storage.offset, bytes: wholeWords(storage.bytes) }
  }

  #writeParams(kernel: Kernel, values: Readonly<Record<string, number>>) {
    let at = this.#paramBytes
    for (const [field, type] of kernel.params) {
      const value = values[field]
      if (value === undefined) throw new Error(`${kernel.name}: no value for param ${field}`)
      if (type === 'f32') this.#params.setFloat32(at, value, true)
      else if (type === 'i32') this.#params.setInt32(at, value, true)
      else this.#params.setUint32(at, value, true)
      at += 4
    }
  }
}
