// The worker: it holds the pictures, the GPU and the training.

import { encodeSafetensors, exportOnnx, saveModel } from 'kindred'
import { expose } from 'comlink'
import type {
  OpenedRun,
  PhotoWorker,
  PictureSet,
  ReadEvent,
  SkippedFile,
  Tell,
} from '../common/api.ts'
import { builtIn } from './built-in.ts'
import { decodeFiles } from './decode.ts'
import { theGpu } from './device.ts'
import { stillOf, trained } from './encoder.ts'
import { KeptStorage } from './kept-storage.ts'
import { claimKept, deleteKept, readKept } from './kept.ts'
import type { PhotoSet } from './photo-set.ts'
import { decodePictures, decodeRun, decodeTraining, encodeRun } from './run-file.ts'
import { configFor } from './settings.ts'
import { thumbSender } from './thumbs.ts'
import { PhotoTraining } from './training.ts'

const [SIDE, SMALLER, MANY] = [96, 64, 4000] // of what is kept of each picture, in pixels

let pictures: PhotoSet | null = null
let training: PhotoTraining | null = null
let isStopped = false

function currentPictures(): PhotoSet {
  if (pictures) return pictures
  throw new Error('there are no pictures yet; choose some')
}

function currentTraining(): PhotoTraining {
  if (training) return training
  throw new Error('there is no training yet; begin one')
}

function hold(next: PhotoSet, skipped: readonly SkippedFile[] = []): PictureSet {
  training = null
  pictures = next
  return { kind: next.kind, names: next.names, skipped }
}

/** Sends the thumbnails of all pictures to the page. */
function sendAll({ pixels, side, names }: PhotoSet, tell: Tell<ReadEvent>) {
  thumbSender(tell, side, names.length)(pixels, names.length, true)
}

const worker: PhotoWorker = {
  async readFiles(files, tell) {
    isStopped = false
    const side = files.length > MANY ? SMALLER : SIDE
    const send = thumbSender(tell, side, files.length)
    const { names, pixels, skipped } = await decodeFiles(files, {
      side,
      onFile(done, read, soFar) {
        send(soFar, read, done === files.length)
        if (done % 16 === 0 || done === files.length)
          tell({ kind: 'reading', done, of: files.length })
      },
      isStopped: () => isStopped,
    })
    send(pixels, names.length, true)
    await tell({ kind: 'last' })
    const none = { pixels: new Uint8Array(), labels: null }
    const read = {
      kind: 'own',
      side,
      names,
      pixels,
      classes: [],
      labels: null,
      test: none,
    } as const
    return hold(read, skipped)
  },

  stopReading() {
    isStopped = true
    return Promise.resolve()
  },

  async drawBuiltIn(options, tell) {
    const send = thumbSender(tell, options.side, options.count)
    const drawn = await builtIn(options, (pixels, done) => {
      send(pixels, done, done === options.count)
      tell({ kind: 'reading', done, of: options.count })
    })
    await tell({ kind: 'last' })
    return hold(drawn)
  },

  async begin(choice, tell) {
    const of = currentPictures()
    const config = configFor(choice, of.names.length)
    training = new PhotoTraining(new KeptStorage(config, choice, of), of)
    return training.run(tell)
  },

  async goOn(tell, steps) {
    if (steps !== undefined) await currentTraining().lengthen(steps)
    return currentTraining().run(tell)
  },

  pause() {
    training?.pause()
    return Promise.resolve()
  },

  async kept() {
    const saved = await readKept('training')
    const images = saved && (await readKept('pictures'))
    if (!saved || !images) return null
    const { names, kind } = decodePictures(images)
    const found = decodeTraining(saved)
    const { epochs, batch } = found.config
    return {
      pictures: names.length,
      isBuiltIn: kind === 'built-in',
      step: found.checkpoint.step,
      steps: epochs * Math.floor(names.length / batch),
    }
  },

  async forget() {
    if (!(await claimKept())) throw new Error('another tab uses the kept training; close it first')
    await deleteKept('training', 'pictures')
  },

  async open(file, tell): Promise<OpenedRun> {
    const opened = file ? await fromFile(file) : await fromKept()
    const storage = await KeptStorage.of(opened.training, opened.pictures, file === null)
    const set = hold(opened.pictures)
    sendAll(opened.pictures, tell)
    await tell({ kind: 'last' })
    training = new PhotoTraining(storage, opened.pictures)
    return { ...set, choice: opened.training.choice, run: training.ended }
  },

  look: (tell) => currentTraining().look(tell),

  async save() {
    const saved = await currentTraining().storage.training()
    return new Blob([encodeRun(currentPictures(), saved)])
  },

  async exportEncoder(format) {
    const { config, storage } = currentTraining()
    const { checkpoint } = await storage.training()
    const gpu = await theGpu()
    const model = trained(gpu, config, checkpoint)
    const { size } = config
    const metadata = { step: String(checkpoint.step), transform: JSON.stringify(stillOf(config)) }
    const bytes =
      format === 'onnx'
        ? await exportOnnx(gpu, model, { input: [size, size, 3], metadata })
        : encodeSafetensors({ tensors: await saveModel(gpu, model), metadata })
    gpu.free(model)
    return new Blob([bytes as Uint8Array<ArrayBuffer>])
  },
}

interface Found {
  readonly pictures: PhotoSet
  readonly training: ReturnType<typeof decodeTraining>
}

async function fromFile(file: Blob): Promise<Found> {
  const name = file instanceof File ? file.name : 'the file'
  const bytes = new Uint8Array(await file.arrayBuffer())
  try {
    const content = decodeRun(bytes, name)
    return { pictures: decodePictures(content), training: decodeTraining(content) }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`${name} cannot be opened: ${why}. Choose a file that this page has saved.`, {
      cause,
    })
  }
}

async function fromKept(): Promise<Found> {
  const [saved, images] = [await readKept('training'), await readKept('pictures')]
  if (!saved || !images) throw new Error('this browser keeps no training')
  return { pictures: decodePictures(images), training: decodeTraining(saved) }
}

expose(worker)
