// Checks a training that a program has stored in a form of its own.

import type { SafetensorsFile } from '../engine/safetensors.ts'
import { checkOptions, checkValue, needed, record, rule, text } from '../kernels/options.ts'
import { checkConfig } from './check-config.ts'
import { wholeCheckpoint } from './checkpoint-file.ts'
import { isObject } from './json.ts'
import { MemoryStorage } from './memory-storage.ts'
import { type Metric, checkMetric } from './metrics.ts'
import { checkSettings } from './resumable.ts'
import type { TrainConfig } from './run-schema.ts'
import type { Checkpoint } from './storage.ts'

/** A training as it was read, before anything of it is checked. */
export interface UncheckedRun {
  readonly config: unknown
  readonly metrics: unknown
  /** Its tensors, and its metadata with the `step`. */
  readonly checkpoint: SafetensorsFile
}

/** A training that `train` can go on with. */
export interface CheckedRun {
  readonly config: TrainConfig
  readonly metrics: readonly Metric[]
  readonly checkpoint: Checkpoint
}

const isFile = (v: unknown) => isObject(v) && v['tensors'] instanceof Map && isObject(v['metadata'])
const rules = {
  config: needed(rule('a configuration', () => true)),
  metrics: needed(rule('a list of metrics', Array.isArray)),
  checkpoint: needed(rule('a safetensors file, as decodeSafetensors returns it', isFile)),
}
const remedy = 'the file is damaged'

/** Checks a training that a program has stored in a form of its own, as `unpackRun` checks a packed
 *  one, and returns it. Throws Error in words for a wrong field of the configuration or of a
 *  metric, a checkpoint without its step or with a value that is not finite, and one that was made
 *  with other settings. Messages begin with `name`. */
export function checkedRun(parts: UncheckedRun, name = 'the training'): CheckedRun {
  checkValue('checkedRun', 'name', name, text)
  checkValue('checkedRun', 'parts', parts, record)
  const given = checkOptions('checkedRun', parts, rules)
  const config = checkConfig(
    given.config,
    `${name}: its configuration`,
    'it was made by another version, or by hand',
  )
  const metrics = (given.metrics as readonly unknown[]).map((metric, i) => {
    const where = `${name}: metric ${i + 1}`
    if (!isObject(metric)) throw new Error(`${where} is no object; ${remedy}`)
    return checkMetric(metric, where, remedy)
  })
  const checkpoint = wholeCheckpoint(given.checkpoint, `${name}: its checkpoint`)
  checkSettings(new MemoryStorage(config, name), checkpoint, config)
  return { config, metrics, checkpoint }
}
