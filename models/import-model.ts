// Loads an encoder from a file of another program, whose names may have a prefix: PyTorch's
// DataParallel writes 'module.', MoCo's code 'module.encoder_q.', others 'backbone.' or 'encoder.'.

import { show } from '../kernels/op.ts'
import { checkOptions, checkValue, having, text } from '../kernels/options.ts'
import type { Gpu } from '../engine/gpu.ts'
import { notFinite, someOf } from '../engine/not-finite.ts'
import type { SavedTensor } from '../engine/safetensors.ts'
import { type Model, checkGpu } from './model.ts'
import { loadModel, variablesOf } from './state.ts'

/** Options of `importModel`. */
export interface ImportOptions {
  /** What stands before the model's names in the file; found by itself unless given. '' is none. */
  readonly prefix?: string
}

/** What was read from a file. */
export interface Imported {
  /** What stands before the model's names in the file. */
  readonly prefix: string
  /** Names in the file that were loaded. */
  readonly loaded: readonly string[]
  /** Names in the file that were not: a classifier, a head, another encoder. */
  readonly ignored: readonly string[]
}

type File = ReadonlyMap<string, SavedTensor>

/** Loads a model from tensors under its own names, or under these after a prefix that all have. The
 *  prefix found is the one under which most of the model's tensors are, none where as many have
 *  none. Throws Error for two such prefixes, one of which `prefix` must choose then, and Error that
 *  lists what is missing or of another shape, and under which prefix, and for values that are not
 *  finite, before anything changes; TypeError for wrong options. */
export function importModel(
  gpu: Gpu,
  model: Model,
  tensors: File,
  options: ImportOptions = {},
): Imported {
  checkGpu('importModel', gpu)
  checkValue('importModel', 'model', model, having('a model', 'parameters', 'norms', 'forward'))
  checkValue(
    'importModel',
    'tensors',
    tensors,
    having("a Map, as load's tensors are", 'get', 'keys'),
  )
  const { prefix = found(model, tensors) } = checkOptions('importModel', options, { prefix: text })
  const under = (name: string) => `${prefix}${name}`
  const wrong = faults(model, tensors, under)
  if (wrong.length > 0) throw refusal(model, tensors, { prefix, wrong })
  const own = [...Object.keys(variablesOf(model)), ...counters(model)]
  const loaded = own.map(under).filter((name) => tensors.has(name))
  const taken = new Map(
    loaded.flatMap((name) => {
      const tensor = tensors.get(name)
      return tensor ? [[name.slice(prefix.length), tensor] as const] : []
    }),
  )
  const bad = notFinite(taken)
  if (bad.length > 0)
    throw new Error(
      `importModel: values are not finite, in ${someOf(bad.map(under))}; ` +
        'load a checkpoint from before that training diverged',
    )
  loadModel(gpu, model, taken)
  const ignored = [...tensors.keys()].filter((name) => !loaded.includes(name))
  return { prefix, loaded, ignored }
}

const counters = ({ norms }: Model) =>
  Object.keys(norms).map((name) => `${name}.num_batches_tracked`)

/** The prefix under which most of the model's tensors are; none where the names have none as often.
 *  Throws Error for two such prefixes. */
function found(model: Model, tensors: File): string {
  const counts = new Map<string, number>()
  const names = Object.keys(variablesOf(model))
  for (const key of tensors.keys())
    for (const name of names)
      if (key === name || key.endsWith(`.${name}`)) {
        const prefix = key.slice(0, key.length - name.length)
        counts.set(prefix, (counts.get(prefix) ?? 0) + 1)
      }
  const most = Math.max(0, ...counts.values())
  const equal = [...counts].flatMap(([prefix, count]) => (count === most ? [prefix] : []))
  const [first = ''] = equal
  if (equal.length > 1 && 2 * most >= names.length && !equal.includes(''))
    throw new Error(
      `importModel: the model's tensors are under ${equal.length} prefixes, ${equal.map((one) => `'${one}'`).join(', ')}; choose one, such as { prefix: '${first}' }`,
    )
  return equal.reduce((best, one) => (one.length < best.length ? one : best), first)
}

/** A variable's shape in a file: four dimensions are [O, I, H, W] there. */
function fileShape(shape: readonly number[]): readonly number[] {
  const [H = 0, W = 0, I = 0, O = 0] = shape
  return shape.length === 4 ? [O, I, H, W] : shape
}

/** What is missing or of another shape, a line each. */
function faults(model: Model, tensors: File, under: (name: string) => string): string[] {
  return Object.entries(variablesOf(model)).flatMap(([name, { shape }]) => {
    const saved = tensors.get(under(name))
    const wanted = fileShape(shape)
    if (!saved) return [`${under(name)} ${show(wanted)} is missing`]
    if (saved.shape.join() === wanted.join()) return []
    return [`${under(name)} is ${show(saved.shape)}, the model needs ${show(wanted)}`]
  })
}

const LISTED = 8

interface Refused {
  readonly prefix: string
  readonly wrong: readonly string[]
}

function refusal(model: Model, tensors: File, { prefix, wrong }: Refused): Error {
  const many = Object.keys(variablesOf(model)).length
  const more = wrong.length > LISTED ? [`and ${wrong.length - LISTED} more`] : []
  const where = prefix === '' ? 'without a prefix' : `under the prefix '${prefix}'`
  const [first = 'none'] = tensors.keys()
  return new Error(
    [
      `importModel: ${wrong.length} of the model's ${many} tensors do not fit, ${where}; choose the encoder and its width as in the file, whose first name is ${first}`,
      ...[...wrong.slice(0, LISTED), ...more].map((line) => `  ${line}`),
    ].join('\n'),
  )
}
