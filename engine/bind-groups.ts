// The bind groups of one device, cached by pipeline and bindings.

import type { Binding } from './memory.ts'
import type { Pipeline } from './pipelines.ts'

const MAX_CACHED = 16384 // else work that never repeats would fill the cache without end

/** Creates and caches bind groups. */
export class BindGroups {
  readonly #device: GPUDevice
  readonly #cache = new Map<string, GPUBindGroup>()
  #made = 0

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /** How many bind groups were created. */
  get made(): number {
    return this.#made
  }

  /** Returns a cached bind group, or makes one. `uniforms` must be the same in every call. */
  get(pipeline: Pipeline, bindings: readonly Binding[], uniforms: GPUBuffer): GPUBindGroup {
    let key = String(pipeline.id)
    for (const b of bindings) key += `,${b.block.id}:${b.offset}:${b.bytes}`
    let group = this.#cache.get(key)
    if (!group) {
      if (this.#cache.size >= MAX_CACHED) this.#cache.clear()
      group = this.make(pipeline, bindings, uniforms)
      this.#cache.set(key, group)
    }
    return group
  }

  /** Makes a pipeline's bind group, with its Params in `uniforms` at a dynamic offset. */
  make(pipeline: Pipeline, bindings: readonly Binding[], uniforms: GPUBuffer): GPUBindGroup {
    const entries: GPUBindGroupEntry[] = bindings.map((b, binding) => ({
      binding,
      resource: { buffer: b.block.buffer, offset: b.offset, size: b.bytes },
    }))
    if (pipeline.paramBytes > 0)
      entries.push({
        binding: bindings.length,
        resource: { buffer: uniforms, size: pipeline.paramBytes },
      })
    this.#made++
    return this.#device.createBindGroup({ label: pipeline.name, layout: pipeline.layout, entries })
  }

  /** Drops the cached bind groups of destroyed blocks, given by their ids. */
  forget(ids: ReadonlySet<number>) {
    for (const key of this.#cache.keys()) {
      const [, ...blocks] = key.split(',')
      if (blocks.some((block) => ids.has(Number.parseInt(block, 10)))) this.#cache.delete(key)
    }
  }

  /** Drops all cached bind groups. */
  clear() {
    this.#cache.clear()
  }
}
