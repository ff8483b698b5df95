// Compiles kernels, and caches them by all that they are made from: WGSL source and override
// constants. A kernel is compiled when it is first run, or ahead, in the background. On a Gpu with
// a budget it is compiled in the background then too, and its commands wait in the queue.

import type { Access, Kernel } from '../kernels/op.ts'
import { GpuError, type Watch, quiet, wgslError } from './errors.ts'

const COMPUTE_STAGE = 0x4

export interface Pipeline {
  readonly id: number
  readonly name: string
  /** The compiled kernel; null while it is compiled in the background. */
  compiled: GPUComputePipeline | null
  /** Resolves to the error or null when it is compiled. Rejects for a lost device. */
  ready: Promise<GpuError | null>
  /** Compiles it at once, unless it is compiled. */
  readonly now: () => GPUComputePipeline
  readonly layout: GPUBindGroupLayout
  /** Bytes of its Params, 0 if it has none. */
  readonly paramBytes: number
  /** The compile error, once it is known. */
  failure: GpuError | null
}

type Constants = Readonly<Record<string, number>>

/** A kernel to compile. */
interface Wanted {
  readonly kernel: Kernel
  readonly constants: Constants
}

/** Kernels that a body asks for. */
interface Listed {
  readonly wanted: Map<string, Wanted>
  /** Those that are compiled already, or still being compiled. */
  readonly begun: Set<Pipeline>
}

/** The pipelines of one device. `watch` receives a promise of each compilation's error or null.
 *  `isPatient` tells whether commands may wait for a kernel. */
export class Pipelines {
  readonly #device: GPUDevice
  readonly #watch: Watch
  readonly #isPatient: () => boolean
  readonly #cache = new Map<string, Map<string, Pipeline>>()
  readonly #unwatched = new Set<Pipeline>() // compiled ahead, and not used yet
  #listed: Listed | null = null // while kernels are listed
  #nextId = 0

  constructor(device: GPUDevice, watch: Watch, isPatient: () => boolean) {
    this.#device = device
    this.#watch = watch
    this.#isPatient = isPatient
  }

  /** How many pipelines were compiled. */
  get size(): number {
    return this.#nextId
  }

  /** Forgets all pipelines. */
  destroy() {
    this.#cache.clear()
    this.#unwatched.clear()
  }

  /** Returns the pipeline of a kernel with these constants. Throws GpuError if it is known not to
   *  compile. */
  get(kernel: Kernel, constants: Constants = {}): Pipeline {
    const cached = this.#variants(kernel).get(keyOf(constants))
    if (cached?.failure) throw cached.failure
    if (this.#listed) {
      if (cached) this.#listed.begun.add(cached)
      else this.#listed.wanted.set(kernel.source + keyOf(constants), { kernel, constants })
      return cached ?? notCompiled(kernel)
    }
    const made = cached ?? this.#compile({ kernel, constants }, this.#isPatient())
    if (!cached || this.#unwatched.delete(made)) this.#watch(made.ready) // before what is submitted
    return made
  }

  /** Compiles in the background the kernels that `body` asks for, and resolves when all of them are
   *  compiled, whoever asked for them first. `body` must execute nothing. Throws what it throws,
   *  and GpuError for a kernel that does not compile. */
  async compileAhead(body: () => void): Promise<void> {
    const { wanted, begun } = (this.#listed = { wanted: new Map(), begun: new Set() } as Listed)
    try {
      body()
    } finally {
      this.#listed = null
    }
    for (const one of wanted.values()) {
      const made = this.#compile(one, true)
      this.#unwatched.add(made)
      begun.add(made)
    }
    const failures = await Promise.all([...begun].map(({ ready }) => ready))
    for (const failure of failures) if (failure) throw failure
  }

  /** Begins to compile a kernel, and keeps it. Its `ready` resolves to the error, or null. */
  #compile({ kernel, constants }: Wanted, isPatient: boolean): Pipeline {
    const device = this.#device
    let failing: Promise<GpuError | null> | null = null
    device.pushErrorScope('validation')
    const { module, layout, descriptor } = describePipeline(device, { kernel, constants })
    void quiet(device.popErrorScope()) // compiling tells of a wrong module
    const now = () => {
      if (made.compiled) return made.compiled
      device.pushErrorScope('validation')
      made.compiled = device.createComputePipeline(descriptor)
      failing = device.popErrorScope().then(async (error) => {
        if (error) made.failure = await failureOf(kernel, module, error)
        return made.failure
      })
      return made.compiled
    }
    const later = async () => {
      try {
        const pipeline = await device.createComputePipelineAsync(descriptor)
        made.compiled ??= pipeline
      } catch (cause) {
        now() // tells why
        if (Object(cause).name !== 'GPUPipelineError') throw cause // of a lost device
      }
      return failing
    }
    const made: Pipeline = { ...notCompiled(kernel), id: this.#nextId, layout, now }
    if (!isPatient) now()
    this.#nextId++
    this.#variants(kernel).set(keyOf(constants), made)
    made.ready = quiet(isPatient ? later() : Promise.resolve(failing))
    return made
  }

  #variants({ source }: Kernel): Map<string, Pipeline> {
    const variants = this.#cache.get(source) ?? new Map<string, Pipeline>()
    this.#cache.set(source, variants)
    return variants
  }
}

const keyOf = (constants: Constants) => JSON.stringify(constants)

/** Bytes of a kernel's Params. */
const paramBytesOf = ({ params }: Kernel) => Math.ceil(params.length / 4) * 16

/** A pipeline before it is compiled; by itself, what stands for one in a recording that is never
 *  executed. */
const notCompiled = (kernel: Kernel): Pipeline => ({
  id: -1,
  name: kernel.name,
  paramBytes: paramBytesOf(kernel),
  failure: null,
  compiled: null,
  ready: Promise.resolve(null),
  now: () => ({}) as GPUComputePipeline, // nobody looks
  layout: {} as GPUBindGroupLayout,
})

function describePipeline(device: GPUDevice, { kernel, constants }: Wanted) {
  const { name } = kernel
  const module = device.createShaderModule({ label: name, code: kernel.source })
  const entries = kernel.bindings.map(layoutEntry)
  const layout = device.createBindGroupLayout({ label: name, entries })
  const descriptor = {
    label: name,
    layout: device.createPipelineLayout({ label: name, bindGroupLayouts: [layout] }),
    compute: { module, entryPoint: name, constants },
  }
  return { module, layout, descriptor }
}

async function failureOf(
  kernel: Kernel,
  module: GPUShaderModule,
  error: { readonly message: string },
): Promise<GpuError> {
  const { messages } = await module.getCompilationInfo()
  return wgslError(kernel, messages) ?? new GpuError(`${kernel.name}: ${error.message}`)
}

const layoutEntry = (access: Access, binding: number): GPUBindGroupLayoutEntry => ({
  binding,
  visibility: COMPUTE_STAGE,
  buffer:
    access === 'uniform'
      ? { type: 'uniform', hasDynamicOffset: true }
      : { type: access === 'read' ? 'read-only-storage' : 'storage' },
})
