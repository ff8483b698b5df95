// Compiles kernels, and caches them by all that they are made from: WGSL source and override
// constants.

import type { Access, Kernel } from '../kernels/op.ts'
import { GpuError, type Watch, wgslError } from './errors.ts'

const COMPUTE_STAGE = 0x4

export interface Pipeline {
  readonly id: number
  readonly name: string
  readonly pipeline: GPUComputePipeline
  readonly layout: GPUBindGroupLayout
  /** Bytes of its Params, 0 if it has none. */
  readonly paramBytes: number
  /** The compile error, once it is known. */
  failure: GpuError | null
}

/** The pipelines of one device. `watch` receives a promise of each compilation's error or null. */
export class Pipelines {
  readonly #device: GPUDevice
  readonly #watch: Watch
  readonly #cache = new Map<string, Map<string, Pipeline>>()
  #nextId = 0

  constructor(device: GPUDevice, watch: Watch) {
    this.#device = device
    this.#watch = watch
  }

  /** How many pipelines were compiled. */
  get size(): number {
    return this.#nextId
  }

  /** Forgets all pipelines. */
  destroy() {
    this.#cache.clear()
  }

  /** Returns the pipeline of a kernel with these constants. Throws GpuError if it is known not to
   *  compile. */
  get(kernel: Kernel, constants: Readonly<Record<string, number>> = {}): Pipeline {
    const variants = this.#cache.get(kernel.source) ?? new Map<string, Pipeline>()
    this.#cache.set(kernel.source, variants)
    const key = JSON.stringify(constants)
    const cached = variants.get(key)
    if (cached?.failure) throw cached.failure
    if (cached) return cached
    const made = this.#compile(kernel, constants)
    variants.set(key, made)
    return made
  }

  #compile(kernel: Kernel, constants: Readonly<Record<string, number>>): Pipeline {
    const device = this.#device
    const { name } = kernel
    device.pushErrorScope('validation')
    const module = device.createShaderModule({ label: name, code: kernel.source })
    const entries = kernel.bindings.map(layoutEntry)
    const layout = device.createBindGroupLayout({ label: name, entries })
    const pipeline = device.createComputePipeline({
      label: name,
      layout: device.createPipelineLayout({ label: name, bindGroupLayouts: [layout] }),
      compute: { module, entryPoint: name, constants },
    })
    const paramBytes = Math.ceil(kernel.params.length / 4) * 16
    const made: Pipeline = { id: this.#nextId++, name, pipeline, layout, paramBytes, failure: null }
    const explain = async (error: GPUError | null) => {
      if (error) made.failure = await failureOf(kernel, module, error)
      return made.failure
    }
    this.#watch(device.popErrorScope().then(explain))
    return made
  }
}

async function failureOf(
  kernel: Kernel,
  module: GPUShaderModule,
  error: GPUError,
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
