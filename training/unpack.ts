// Reads a packed run: a zip of a run folder, from anywhere.

import type * as fflate from 'fflate'
import { IMAGES } from '../data/images-file.ts'
import { loadedLater } from '../kernels/loaded-later.ts'
import { callback, checkOptions, checkValue, rule, text } from '../kernels/options.ts'
import { reasonOf } from '../kernels/reason-of.ts'
import { checkConfig } from './check-config.ts'
import { decodeCheckpoint } from './checkpoint-bytes.ts'
import { BEST, fileOfStep, stepsIn } from './checkpoint-file.ts'
import { configIn } from './config-file.ts'
import { MemoryStorage } from './memory-storage.ts'
import { metricsIn } from './metrics.ts'
import { checkSettings } from './resumable.ts'
import { type OnNote, fill } from './run-contents.ts'
import { checkFileSize, decodePackedImages } from './run-images.ts'
import type { Checkpoint } from './storage.ts'
import { checksumsIn, crc32 } from './zip-checksums.ts'

/** Options of `unpackRun`. */
export interface UnpackOptions {
  /** Name of the run in messages; by default that of the file, if it has one. */
  readonly name?: string
  /** Receives a line about each checkpoint that is damaged and left out. */
  readonly onNote?: OnNote
}

const rules = { name: text, onNote: callback }
const aFile = rule(
  'a file: a Blob, an ArrayBuffer or a Uint8Array',
  (v) => v instanceof Blob || v instanceof ArrayBuffer || v instanceof Uint8Array,
)
const SWELL = 1100 // deflate makes at most 1032 bytes of one

/** Reads a file of `packRun` or `kindred export`, or a zipped run folder, into memory: `train` goes
 *  on with it there, and `storeRun` stores it in a page. Its `images()` are those that the file
 *  carries, null without. Throws Error in words for anything else, for a damaged file, and for
 *  checkpoints of another run than its config.json. */
export async function unpackRun(
  file: Blob | ArrayBuffer | Uint8Array,
  options: UnpackOptions = {},
): Promise<MemoryStorage> {
  checkValue('unpackRun', 'file', file, aFile)
  const { name = nameOf(file), onNote = () => {} } = checkOptions('unpackRun', options, rules)
  const bytes = await bytesOf(file)
  const by = await loadedLater('unpackRun', () => import('fflate'))
  const zip = new Zip(bytes, name, by)
  const path = `${name}: config.json`
  const read = configIn(zip.text('config.json'))
  if ('fault' in read) throw new Error(`${path} is damaged: ${read.fault}`)
  const config = checkConfig(read.config, path, 'it was made by another version, or by hand')
  const metrics = metricsIn(zip.textOr('metrics.jsonl', ''), `${name}: metrics.jsonl`)
  const found = await checkpointsIn(zip, onNote)
  const run = new MemoryStorage(read.config, name)
  checkSettings(run, found.newest, config)
  const images = zip.has(IMAGES) ? await imagesIn(zip) : null
  await fill(run, { config: read.config, metrics, ...found, images })
  return run
}

function imagesIn(zip: Zip) {
  const name = `${zip.name}: ${IMAGES}`
  checkFileSize(name, zip.sizeOf(IMAGES)) // before it is inflated
  return decodePackedImages(zip.bytes(IMAGES), name)
}

const nameOf = (file: object) =>
  'name' in file && typeof file.name === 'string' && file.name !== '' ? file.name : 'the file'

async function bytesOf(file: Blob | ArrayBuffer | Uint8Array): Promise<Uint8Array> {
  if (!(file instanceof Blob) && isDetached(file instanceof Uint8Array ? file.buffer : file))
    throw new TypeError(
      'unpackRun: file is memory that was transferred, to a worker or elsewhere, and holds nothing ' +
        'any more; give a copy, or read the file again',
    )
  if (file instanceof Uint8Array) return file
  return new Uint8Array(file instanceof Blob ? await file.arrayBuffer() : file)
}

function isDetached(memory: ArrayBufferLike): boolean {
  try {
    void new Uint8Array(memory) // throws for it; not every browser has `detached`
    return false
  } catch {
    return true
  }
}

/** Loads the newest checkpoint that is whole, and the best. Throws Error if there is none. */
async function checkpointsIn(zip: Zip, onNote: OnNote) {
  const read = async (name: string): Promise<Checkpoint | null> => {
    try {
      return await decodeCheckpoint(zip.bytes(`checkpoints/${name}`), `${zip.name}: ${name}`)
    } catch (error) {
      onNote(reasonOf(error))
      return null
    }
  }
  const best = zip.has(`checkpoints/${BEST}`) ? await read(BEST) : null
  for (const name of stepsIn(zip.namesIn('checkpoints/')).map(fileOfStep)) {
    const newest = await read(name)
    if (newest) return { newest: best && best.step > newest.step ? best : newest, best }
  }
  if (best) return { newest: best, best }
  throw new Error(`${zip.name}: it holds no checkpoint that can be read; pack the run again`)
}

type Inflates = Pick<typeof fflate, 'unzipSync' | 'gzipSync'>

/** The files of a run in a zip. Each is inflated when it is asked for. */
class Zip {
  readonly name: string
  readonly #bytes: Uint8Array
  readonly #by: Inflates
  readonly #sizes = new Map<string, number>()
  readonly #false = new Set<string>() // files that claim more than they can inflate to
  readonly #sums = new Map<string, number>() // CRC-32
  #folder = '' // of the run, within the zip

  /** Throws Error if the bytes are no zip of a run. */
  constructor(bytes: Uint8Array, name: string, by: Inflates) {
    this.name = name
    this.#bytes = bytes
    this.#by = by
    if (bytes.length === 0) throw new Error(`${name}: it is empty, 0 bytes; pack the run again`)
    if (bytes[0] !== 0x50 || bytes[1] !== 0x4b) throw this.#none('it is no zip')
    const sums = checksumsIn(bytes).values()
    this.#unzip(({ name: path, size, originalSize }) => {
      const { value: sum } = sums.next()
      if (sum !== undefined) this.#sums.set(path, sum)
      this.#sizes.set(path, originalSize)
      if (originalSize > SWELL * (size + 1)) this.#false.add(path)
      return false
    })
    const folders = [...this.#sizes.keys()]
      .flatMap((path) => /^(.*\/)?config\.json$/.exec(path)?.slice(0, 1) ?? [])
      .map((path) => path.slice(0, -'config.json'.length))
      .sort((a, b) => a.length - b.length)
    const [folder] = folders
    if (folder === undefined) throw this.#none('it has no config.json')
    const runs = folders.filter((each) => this.#holds(`${each}checkpoints/`))
    if (runs.length > 1) {
      const names = runs.map((each) => (each === '' ? 'its top folder' : each)).join(', ')
      throw new Error(`${name}: it holds ${runs.length} runs: ${names}; pack each on its own`)
    }
    this.#folder = runs[0] ?? folder
  }

  #holds(folder: string): boolean {
    return [...this.#sizes.keys()].some((path) => path.startsWith(folder))
  }

  has(name: string): boolean {
    return this.#sizes.has(this.#folder + name)
  }

  /** Returns the bytes of a file as the zip claims them; it inflates to no more. */
  sizeOf(name: string): number {
    return this.#sizes.get(this.#folder + name) ?? 0
  }

  /** Lists the names of the files in a folder. */
  namesIn(folder: string): readonly string[] {
    const start = this.#folder + folder
    return [...this.#sizes.keys()]
      .filter((path) => path.startsWith(start))
      .map((path) => path.slice(start.length))
  }

  /** Returns a file. Throws Error if it is cut short, or has not the checksum of what was
   *  packed. */
  bytes(name: string): Uint8Array {
    const path = this.#folder + name
    const isFalse = this.#false.has(path) // and would take as much memory as it claims
    const found = isFalse ? undefined : this.#unzip((file) => file.name === path)[path]
    const sum = this.#sums.get(path)
    const isWhole = found?.length === this.#sizes.get(path)
    if (!found || !isWhole || (sum !== undefined && sum !== crc32(found, this.#by)))
      throw new Error(`${this.name}: ${name} is cut short or damaged`)
    return found
  }

  text(name: string): string {
    return new TextDecoder().decode(this.bytes(name))
  }

  textOr(name: string, missing: string): string {
    return this.has(name) ? this.text(name) : missing
  }

  #unzip(filter: (file: fflate.UnzipFileInfo) => boolean) {
    try {
      return this.#by.unzipSync(this.#bytes, { filter })
    } catch (cause) {
      throw new Error(`${this.name}: it is cut short or damaged; pack the run again`, { cause })
    }
  }

  #none(why: string) {
    return new Error(
      `${this.name}: it is not a packed run: ${why}; give what packRun or kindred export --to ` +
        'RUN.zip has written',
    )
  }
}
