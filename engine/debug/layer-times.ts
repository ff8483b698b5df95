// The time of each layer: dispatches of a profile matched with those of a trace.

import { type Column, tabled } from './table.ts'
import type { TraceRow } from './trace.ts'

/** The op that made a dispatch. */
export type DispatchOrigin = Pick<TraceRow, 'op' | 'pass' | 'layer'>

/** All dispatches of a layer, or of an op without parameters; times are in milliseconds. */
export interface LayerTime {
  /** The layer, or the op where it has none. */
  readonly layer: string
  readonly dispatches: number
  /** Null if not timed, like the others. */
  readonly forward: number | null
  readonly backward: number | null
  /** Forward, backward and update together. */
  readonly ms: number | null
  /** The share of all time, from 0 to 1, or of all dispatches if not timed. */
  readonly share: number
}

interface Timed {
  readonly kernel: string
  readonly ms: number | null
  readonly origin: DispatchOrigin | null
}

/** Returns where each dispatch comes from. Throws Error if a trace has other kernels than these. */
export function originsOf(
  kernels: readonly string[],
  traced: readonly TraceRow[],
): DispatchOrigin[] {
  const origins = traced.flatMap(({ op, pass, layer, kernels: own }) =>
    own.map((kernel) => ({ kernel, origin: { op, pass, layer } })),
  )
  if (origins.map(({ kernel }) => kernel).join() !== kernels.join())
    throw new Error(
      `profile: the body ran other kernels when it was traced (${origins.length}) than when it was timed (${kernels.length}); let it do the same each time, or leave layers out`,
    )
  return origins.map(({ origin }) => origin)
}

/** Adds up dispatches by layer, the longest first. */
export function layerTimes(dispatches: readonly Timed[]): LayerTime[] {
  const groups = new Map<string, Timed[]>()
  for (const one of dispatches) {
    const name = one.origin?.layer ?? one.origin?.op ?? one.kernel
    groups.set(name, [...(groups.get(name) ?? []), one])
  }
  const isTimed = dispatches.every(({ ms }) => ms !== null)
  const weight = (all: readonly Timed[]) => all.reduce((sum, { ms }) => sum + (ms ?? 1), 0)
  const total = weight(dispatches)
  return [...groups]
    .map(([layer, all]) => {
      const time = (of: readonly Timed[]) => (isTimed ? weight(of) : null)
      const within = (pass: string) => time(all.filter(({ origin }) => origin?.pass === pass))
      return {
        ...{ layer, dispatches: all.length, forward: within('forward') },
        ...{ backward: within('backward'), ms: time(all) },
        share: total > 0 ? weight(all) / total : 0,
      }
    })
    .sort((a, b) => b.share - a.share)
}

/** Prints layers as a table. */
export function layerTable(layers: readonly LayerTime[], width?: number): string[] {
  const isTimed = layers.every(({ ms }) => ms !== null)
  const times = isTimed ? ['forward', 'backward', 'ms'] : []
  const right = ['dispatches', ...times, 'share'].map((head): Column => ({ head, right: true }))
  const text = (ms: number | null) => ((ms ?? 0) > 0 ? (ms ?? 0).toFixed(3) : '')
  const cells = layers.map(({ layer, dispatches, forward, backward, ms, share }) => [
    ...[layer, String(dispatches)],
    ...(isTimed ? [forward, backward, ms].map(text) : []),
    `${(100 * share).toFixed(1)} %`,
  ])
  return tabled([{ head: 'layer' }, ...right], cells, width)
}
