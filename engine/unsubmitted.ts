// Commands that are collected and not submitted yet.

import type { Binding } from './memory.ts'
import type { Pipeline } from './pipelines.ts'

/** A kernel, and how many workgroups of it run. */
export interface PipelineUse {
  readonly pipeline: Pipeline
  readonly groups: readonly [number, number, number]
}

/** A dispatch or a copy that is not submitted yet. */
export type Unsubmitted =
  | (PipelineUse & {
      readonly kind: 'dispatch'
      readonly bindings: readonly Binding[]
      readonly offset: number
    })
  | { readonly kind: 'copy'; readonly from: Binding; readonly to: GPUBuffer; readonly at: number }
