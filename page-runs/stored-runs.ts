// Opens, copies, lists and removes the runs that a page keeps.

import {
  checkOptions,
  checkValue,
  callback,
  having,
  oneOf,
  record,
  rule,
} from '../kernels/options.ts'
import { checkConfig } from '../training/check-config.ts'
import { stepsIn } from '../training/checkpoint-file.ts'
import { configBytes, configIn } from '../training/config-file.ts'
import { describeChanges, otherSettings } from '../training/history.ts'
import { metricsIn } from '../training/metrics.ts'
import { type OnNote, contentsOf, fill } from '../training/run-contents.ts'
import type { TrainConfig } from '../training/run-schema.ts'
import type { Config, TrainingStorage } from '../training/storage.ts'
import { lockRun, locksNow } from './lock.ts'
import { openPlaces } from './open-place.ts'
import { type RunStore, type PlaceKind, type RunFiles, placeKinds } from './place.ts'
import { CONFIG, METRICS, StoredRun } from './stored-run.ts'
import { writeFailure } from './write-failure.ts'

/** Options of the functions of stored runs. */
export interface StoredRunOptions {
  /** Where runs are kept: 'opfs', the page's private file system, or 'indexed-db'. By default runs
   *  are found in both, and new ones are kept in the first that there is. */
  readonly place?: PlaceKind
}

/** A run that this page keeps. */
export interface StoredRunInfo {
  readonly name: string
  /** Where it is kept. */
  readonly place: PlaceKind
  /** Its method; null if its configuration is damaged. */
  readonly method: string | null
  /** Step of its newest checkpoint, null before the first. */
  readonly step: number | null
  /** Bytes of its files. */
  readonly bytes: number
  /** Whether a tab or worker has it open. */
  readonly inUse: boolean
}

const rules = { place: oneOf(...placeKinds) }
const aName = rule(
  "a name of 1 to 100 characters that does not begin with '.', without /, \\ and lone surrogates",
  (v) => typeof v === 'string' && /^(?!\.)[^/\\]{1,100}$/.test(v) && !/\p{Cs}/u.test(v),
)

/** Opens the run that this page keeps under `name`, or makes it with `config`, for `train`. Locks
 *  it until `close`, or until the page ends. Throws Error if it is in use, is not there and has no
 *  `config`, or has other settings than `config`. */
export async function storedRun(
  name: string,
  config?: TrainConfig,
  options: StoredRunOptions = {},
): Promise<StoredRun> {
  checkValue('storedRun', 'name', name, aName)
  if (config !== undefined) {
    checkValue('storedRun', 'config', config, record)
    checkConfig(config, `storedRun: the configuration of '${name}'`, 'mend the configuration')
  }
  return locked(name, checkOptions('storedRun', options, rules), async (place, release) => {
    const files = place.files(name)
    const saved = await configOfRun(files, name)
    if (!saved && !config) throw await none('storedRun', place, name)
    if (!saved) return made(place, name, { ...config }, release)
    const changes = config ? otherSettings(saved, config) : {}
    if (Object.keys(changes).length > 0)
      throw new Error(
        `storedRun: the run '${name}' has other settings: ${describeChanges(changes)}; leave out the ` +
          'configuration to go on with it, or choose another name',
      )
    const text = new TextDecoder().decode((await files.read(METRICS)) ?? new Uint8Array(0))
    const metrics = metricsIn(text, `the run '${name}': ${METRICS}`)
    return new StoredRun(name, { files, config: saved, metrics, release })
  })
}

/** Stores a copy of a run, from any storage, under a new name, whole or not at all. The copy is
 *  open and locked. Throws Error if there is such a run, it is in use, there is no room, or `from`
 *  has no checkpoint yet, a wrong configuration, or another one than its checkpoint. `onNote`
 *  receives a line about each damaged checkpoint that is left out. */
export async function storeRun(
  name: string,
  from: TrainingStorage,
  options: StoredRunOptions & { readonly onNote?: OnNote } = {},
): Promise<StoredRun> {
  checkValue('storeRun', 'name', name, aName)
  checkValue(
    'storeRun',
    'from',
    from,
    having('a storage, as unpackRun makes it', 'config', 'latest'),
  )
  const { onNote = () => {}, ...where } = checkOptions('storeRun', options, {
    ...rules,
    onNote: callback,
  })
  return locked(name, where, async (place, release) => {
    const files = place.files(name)
    if (await files.read(CONFIG))
      throw new Error(
        `storeRun: this page keeps a run '${name}' already; choose another name, or remove it by ` +
          `removeRun(${JSON.stringify(name)})`,
      )
    const contents = await contentsOf(from, onNote)
    await place.remove(name) // what an unfinished copy has left
    const run = new StoredRun(name, { files, config: contents.config, metrics: [], release })
    try {
      await fill(run, contents)
      await run.writeConfig(contents.config) // last: a run without it is none
    } catch (error) {
      await place.remove(name).catch(() => undefined) // the first error counts
      throw error
    }
    return run
  })
}

/** Lists the runs that this page keeps, in all places unless one is given, by name. */
export async function storedRuns(
  options: StoredRunOptions = {},
): Promise<readonly StoredRunInfo[]> {
  const places = await openPlaces(checkOptions('storedRuns', options, rules).place)
  const isInUse = await locksNow()
  const found: StoredRunInfo[] = []
  for (const place of places)
    for (const name of await place.runs()) {
      const about = await infoOf(place, name)
      if (about) found.push({ ...about, inUse: isInUse(place.kind, name) })
    }
  return found.toSorted((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0))
}

/** Tells about a run, null for a copy that was never finished. */
async function infoOf(place: RunStore, name: string): Promise<Omit<StoredRunInfo, 'inUse'> | null> {
  const files = place.files(name)
  const names = await files.names()
  if (!names.includes(CONFIG)) return null
  const config = await configOfRun(files, name).catch(() => null)
  const method = typeof config?.['method'] === 'string' ? config['method'] : null
  const [step = null] = stepsIn(names)
  return { name, place: place.kind, method, step, bytes: await files.bytes() }
}

/** Removes a run that this page keeps. Throws Error if there is none of this name, or it is in
 *  use. */
export async function removeRun(name: string, options: StoredRunOptions = {}) {
  checkValue('removeRun', 'name', name, aName)
  await locked(name, checkOptions('removeRun', options, rules), async (place, release) => {
    if ((await place.files(name).names()).length === 0) throw await none('removeRun', place, name)
    await place.remove(name)
    release()
  })
}

/** Opens the place and locks a run, then runs `body` with the function that unlocks it. Unlocks it
 *  if `body` throws. */
async function locked<T>(
  name: string,
  { place: kind }: StoredRunOptions,
  body: (place: RunStore, release: () => void) => Promise<T>,
): Promise<T> {
  const place = await placeOf(name, await openPlaces(kind))
  const release = await lockRun(place.kind, name)
  try {
    return await body(place, release)
  } catch (error) {
    release()
    throw error
  }
}

/** Returns the place that keeps a run, the first if none does. Throws Error if several do. */
async function placeOf(
  name: string,
  places: readonly [RunStore, ...RunStore[]],
): Promise<RunStore> {
  const keeping: RunStore[] = []
  for (const place of places) if (await place.files(name).read(CONFIG)) keeping.push(place)
  if (keeping.length > 1)
    throw new Error(
      `this page keeps ${keeping.length} runs '${name}'; choose one by its place: ` +
        keeping.map(({ kind }) => `{ place: '${kind}' }`).join(' or '),
    )
  return keeping[0] ?? places[0]
}

async function made(place: RunStore, name: string, config: Config, release: () => void) {
  await place.remove(name) // what an unfinished copy has left
  const files = place.files(name)
  const bytes = configBytes(config)
  await files.write(CONFIG, bytes).catch(async (cause: unknown) => {
    throw await writeFailure(`the run '${name}': ${CONFIG}`, cause, bytes.length)
  })
  return new StoredRun(name, { files, config, metrics: [], release })
}

/** Reads the configuration of a run, null if there is none. Throws Error if it is damaged. */
async function configOfRun(files: RunFiles, name: string): Promise<Config | null> {
  const bytes = await files.read(CONFIG)
  if (!bytes) return null
  const read = configIn(new TextDecoder().decode(bytes))
  if ('config' in read) return read.config
  throw new Error(
    `the run '${name}': ${CONFIG} is damaged: ${read.fault}; remove the run by ` +
      `removeRun(${JSON.stringify(name)}), or choose another name`,
  )
}

async function none(owner: string, place: RunStore, name: string): Promise<Error> {
  const names = await place.runs()
  const others = names.length > 0 ? `it keeps ${names.toSorted().join(', ')}` : 'it keeps none'
  const remedy =
    owner === 'storedRun' ? '; give the configuration of a new one, as configOf makes it' : ''
  return new Error(`${owner}: this page keeps no run '${name}', ${others}${remedy}`)
}
