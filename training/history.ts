// The settings in every checkpoint, with a digest, and their changes since.

import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import { isObject, parse } from './json.ts'

/** Changed settings by path, 'schedule.lr', with the old and the new value. */
export type Changes = Readonly<Record<string, { readonly from: unknown; readonly to: unknown }>>

/** A change of a run's settings, and the step after which it took effect. */
export interface Change {
  readonly step: number
  readonly changes: Changes
}

/** Fields of config.json that change no number of a run. The fingerprint identifies the images. */
const ASIDE = ['data', 'dataFromRun', 'about', 'history']
const [SETTINGS, DIGEST] = ['config', 'config.sha256']
const RATE = 'schedule.lr'

/** Returns the checkpoint metadata of the settings: their JSON and its SHA-256. */
export function settingsMetadata(config: object): Readonly<Record<string, string>> {
  const text = canonical(config)
  return { [SETTINGS]: text, [DIGEST]: digestOf(text) }
}

const digestOf = (text: string) => bytesToHex(sha256(new TextEncoder().encode(text)))

/** Tells whether a checkpoint holds its settings. Older ones do not. */
export const holdsSettings = (metadata: Readonly<Record<string, string>>) =>
  metadata[SETTINGS] !== undefined

/** Returns the settings in a checkpoint's metadata, null if there are none. */
export function settingsIn(
  metadata: Readonly<Record<string, string>>,
): Readonly<Record<string, unknown>> | null {
  const settings = parse(metadata[SETTINGS] ?? 'null')
  return isObject(settings) ? settings : null
}

/** Tells whether the settings of a checkpoint, if any, are a JSON object with the saved digest. */
export function areSettingsWhole({
  [SETTINGS]: text,
  [DIGEST]: digest,
}: Readonly<Record<string, string>>): boolean {
  if (text === undefined) return digest === undefined
  return isObject(parse(text)) && (digest === undefined || digest === digestOf(text))
}

/** Settings that older configurations leave out, with their values. */
const unsaid: Readonly<Record<string, unknown>> = {
  precision: 'f32',
  activations: 'f32',
  loss: 'nt-xent', // SimCLR's
}

/** Returns the changes between a checkpoint's settings and `config`, none if the checkpoint holds
 *  no settings. */
export function changesSince(metadata: Readonly<Record<string, string>>, config: object): Changes {
  const { [SETTINGS]: settings, [DIGEST]: digest } = metadata
  if (settings === undefined || digest === settingsMetadata(config)[DIGEST]) return {}
  const changes = changesBetween(JSON.parse(settings), JSON.parse(canonical(config)))
  const isNew = (path: string, { from, to }: Changes[string]) =>
    from === null && Object.hasOwn(unsaid, path) && unsaid[path] === to
  return Object.fromEntries(Object.entries(changes).filter(([path, of]) => !isNew(path, of)))
}

/** Returns the leaves in which two JSON values differ. A missing leaf is null. */
export function changesBetween(from: unknown, to: unknown): Changes {
  const [before, after] = [leaves(from), leaves(to)]
  const paths = [...new Set([...before.keys(), ...after.keys()])]
  return Object.fromEntries(
    paths
      .map(
        (path) => [path, { from: before.get(path) ?? null, to: after.get(path) ?? null }] as const,
      )
      .filter(([, change]) => JSON.stringify(change.from) !== JSON.stringify(change.to)),
  )
}

/** Returns the settings of a configuration that differ from a run's and decide its numbers. */
export const otherSettings = (saved: object, config: object): Changes =>
  changesBetween(ofNumbers(saved), ofNumbers(config))

/** Returns the fields of a configuration that decide a training's numbers. */
const ofNumbers = (config: object) =>
  Object.fromEntries(Object.entries(config).filter(([key]) => !ASIDE.includes(key)))

/** Writes changes: `schedule.lr 0.1 -> 0.01, epochs 5 -> 10`. */
export const describeChanges = (changes: Changes): string =>
  Object.entries(changes)
    .map(([path, { from, to }]) => `${path} ${JSON.stringify(from)} -> ${JSON.stringify(to)}`)
    .join(', ')

/** Appends a change to the history, unless the last change is equal. */
export function extended(history: readonly Change[], change: Change): readonly Change[] {
  const isLast = JSON.stringify(history.at(-1)) === JSON.stringify(change)
  return isLast ? history : [...history, change]
}

/** Removes the changes at this step or later from the history, except those of the path of the
 *  images. A run that resumes at the step has used none of them. */
export const unused = (history: readonly Change[], step: number): readonly Change[] =>
  history.flatMap((change) => {
    if (change.step < step) return [change]
    const { data } = change.changes
    return data ? [{ step: change.step, changes: { data } }] : []
  })

/** Returns the last rate below `lr` that the run has used for a step, a tenth of `lr` if there is
 *  none. */
export function lowerRate(lr: number, history: readonly Change[]): number {
  const changes = history.flatMap(({ step, changes: { [RATE]: rate } }) =>
    rate ? [{ step, from: rate.from }] : [],
  )
  const used = changes
    .filter(({ step }, i) => step > (changes[i - 1]?.step ?? 0))
    .map(({ from }) => from)
  const lower = used.filter(
    (rate): rate is number => typeof rate === 'number' && rate > 0 && rate < lr,
  )
  return lower.at(-1) ?? Number((lr / 10).toPrecision(2))
}

/** Writes settings as JSON with sorted keys. Equal settings are equal texts. */
const canonical = (config: object): string => JSON.stringify(sorted(ofNumbers(config)))

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(sorted)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, field]) => [key, sorted(field)]))
}

/** Lists every value that is no object, by its path. A list of numbers is a value. */
export function leaves(value: unknown, path = ''): Map<string, unknown> {
  const isList =
    Array.isArray(value) && !value.some((item) => typeof item === 'object' && item !== null)
  if (typeof value !== 'object' || value === null || isList) return new Map([[path, value]])
  return new Map(
    Object.entries(value).flatMap(([key, field]) => [
      ...leaves(field, path === '' ? key : `${path}.${key}`),
    ]),
  )
}
