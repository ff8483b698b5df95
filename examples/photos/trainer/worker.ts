// The worker: it holds the pictures, the GPU and the training.

import { encodeSafetensors, exportOnnx, packRun, preparationOf, saveModel } from 'kindred'
import { expose } from 'comlink'
import type {
  OpenedRun,
  PhotoWorker,
  PictureSet,
  ReadEvent,
  SkippedFile,
  Tell,
} from '../common/api.ts'
import { messageOf } from '../common/message-of.ts'
import { builtIn } from './built-in.ts'
import { decodeFiles } from './decode.ts'
import { theGpu } from './device.ts'
import { stillOf, trained } from './encoder.ts'
import { KeptStorage } from './kept-storage.ts'
import { claimKept, deleteKeptBut } from './kept.ts'
import { fromFile, fromKept, readKeptRun } from './opened.ts'
import { OneAtATime } from './one-at-a-time.ts'
import type { PhotoSet } from './photo-set.ts'
import { encodeRun } from './run-file.ts'
import { configFor, stepsOf } from './settings.ts'
import { thumbSender } from './thumbs.ts'
import { PhotoTraining } from './training.ts'

const [SIDE, SMALLER, MANY] = [96, 64, 4000] // of what is kept of each picture, in pixels

let pictures: PhotoSet | null = null
let training: PhotoTraining | null = null
let isStopped = false // reading
const trainings = new OneAtATime()

function currentPictures(): PhotoSet {
  if (pictures) return pictures
  throw new Error('there are no pictures yet; choose some')
}

function currentTraining(): PhotoTraining {
  if (training) return training
  throw new Error('there is no training yet; begin one')
}

function hold(next: PhotoSet, skipped: readonly SkippedFile[] = []): PictureSet {
  trainings.refuse()
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

  begin: (choice, tell) =>
    trainings.run(() => {
      const of = currentPictures()
      const config = configFor(choice, of.names.length)
      training = new PhotoTraining(new KeptStorage(config, choice, of), of)
      return training.run(tell)
    }),

  goOn: (tell, steps) =>
    trainings.run(async () => {
      if (steps !== undefined) await currentTraining().lengthen(steps)
      return currentTraining().run(tell)
    }),

  pause() {
    training?.pause()
    return Promise.resolve()
  },

  async kept() {
    try {
      const found = await readKeptRun()
      if (!found) return null
      const { names, kind } = found.pictures
      return {
        pictures: names.length,
        isBuiltIn: kind === 'built-in',
        step: found.training.checkpoint.step,
        steps: stepsOf(found.training.config, names.length),
      }
    } catch (error) {
      return { unreadable: messageOf(error) }
    }
  },

  async forget() {
    if (!(await claimKept())) throw new Error('another tab uses the kept training; close it first')
    await deleteKeptBut()
  },

  async open(file, tell): Promise<OpenedRun> {
    const opened = await (file ? fromFile(file) : fromKept())
    const storage = await KeptStorage.of(opened.training, opened.pictures, opened.picturesFile)
    const set = hold(opened.pictures)
    sendAll(opened.pictures, tell)
    await tell({ kind: 'last' })
    training = new PhotoTraining(storage, opened.pictures)
    return { ...set, choice: opened.training.choice, run: training.ended }
  },

  look: (tell) => currentTraining().look(tell),

  async save() {
    const saved = await currentTraining().storage.training()
    const of = currentPictures()
    return of.carried ? worker.pack() : new Blob([encodeRun(of, saved)])
  },

  async pack() {
    const { storage, images } = currentTraining()
    await storage.training() // throws before the first checkpoint
    return packRun(storage, { images })
  },

  async exportEncoder(format) {
    const { config, storage } = currentTraining()
    const { checkpoint } = await storage.training()
    const gpu = await theGpu()
    const model = trained(gpu, config, checkpoint)
    const { size } = config
    const transform = stillOf(config)
    const metadata = {
      step: String(checkpoint.step),
      transform: JSON.stringify(transform),
      'kindred.image': JSON.stringify(preparationOf(transform, size)),
    }
    const bytes =
      format === 'onnx'
        ? await exportOnnx(gpu, model, { input: [size, size, 3], metadata })
        : encodeSafetensors({ tensors: await saveModel(gpu, model), metadata })
    gpu.free(model)
    return new Blob([bytes as Uint8Array<ArrayBuffer>])
  },
}

expose(worker)
