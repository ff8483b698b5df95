// What a run was trained with, beside what config.json says now: the settings lie in every
// checkpoint, with a digest.

import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex } from '@noble/hashes/utils.js'
import { isObject, parse } from './json.ts'

/** Settings by path, 'schedule.lr', with what they were and are. */
export type Changes = Readonly<Record<string, { readonly from: unknown; readonly to: unknown }>>

/** A change of a run's settings, and the step that it took effect after. */
export interface Change {
  readonly step: number
  readonly changes: Changes
}

/** Fields of config.json that change none of a run's numbers. Which images they are is told by
 * their fingerprint. */
const ASIDE = ['data', 'dataFromRun', 'about', 'history']
const [SETTINGS, DIGEST] = ['config', 'config.sha256']
const RATE = 'schedule.lr'

/** The metadata of a checkpoint that says which settings it was made with: their JSON and its
 * SHA-256. */
export function settingsMetadata(config: object): Readonly<Record<string, string>> {
  const text = canonical(config)
  return { [SETTINGS]: text, [DIGEST]: digestOf(text) }
}

const digestOf = (text: string) => bytesToHex(sha256(new TextEncoder().encode(text)))

/** Whether a checkpoint says which settings it was made with; one from before they were kept does
 * not. */
export const holdsSettings = (metadata: Readonly<Record<string, string>>) =>
  metadata[SETTINGS] !== undefined

/** Whether the settings that a checkpoint holds, if any, are an object of JSON and have the digest
 * that was saved with them. */
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

/** What differs between the settings that a checkpoint was made with and `config`; nothing where it
 * does not say. */
export function changesSince(metadata: Readonly<Record<string, string>>, config: object): Changes {
  const { [SETTINGS]: settings, [DIGEST]: digest } = metadata
  if (settings === undefined || digest === settingsMetadata(config)[DIGEST]) return {}
  const changes = changesBetween(JSON.parse(settings), JSON.parse(canonical(config)))
  const isNew = (path: string, { from, to }: Changes[string]) =>
    from === null && Object.hasOwn(unsaid, path) && unsaid[path] === to
  return Object.fromEntries(Object.entries(changes).filter(([path, of]) => !isNew(path, of)))
}

/** The leaves in which two values of JSON differ. What one of them lacks is null. */
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

/** Changes in words: `schedule.lr 0.1 -> 0.01, epochs 5 -> 10`. */
export const describeChanges = (changes: Changes): string =>
  Object.entries(changes)
    .map(([path, { from, to }]) => `${path} ${JSON.stringify(from)} -> ${JSON.stringify(to)}`)
    .join(', ')

/** The history with a change behind it, unless that is its last one already. */
export function extended(history: readonly Change[], change: Change): readonly Change[] {
  const isLast = JSON.stringify(history.at(-1)) === JSON.stringify(change)
  return isLast ? history : [...history, change]
}

/** The history without what was changed at this step or later, save where the images were: a run
 * that goes on from there has used none of it. */
export const unused = (history: readonly Change[], step: number): readonly Change[] =>
  history.flatMap((change) => {
    if (change.step < step) return [change]
    const { data } = change.changes
    return data ? [{ step: change.step, changes: { data } }] : []
  })

/** A learning rate below `lr` with which the run has made steps before, the last of them; a tenth
 * of `lr` where there is none. */
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

/** The settings as JSON in which equal settings are equal texts. */
const canonical = (config: object): string =>
  JSON.stringify(
    sorted(Object.fromEntries(Object.entries(config).filter(([key]) => !ASIDE.includes(key)))),
  )

function sorted(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map(sorted)
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
  return Object.fromEntries(entries.map(([key, field]) => [key, sorted(field)]))
}

/** Every value that is no object by its path; lists of numbers are values. */
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
