// The page: what the user asks goes to the worker, and what the worker tells is shown.

import { type Remote, proxy } from 'comlink'
import type { Ended, GivenFile, PhotoWorker, PictureSet, ReadEvent } from '../common/api.ts'
import { whyTooFew } from '../common/fewest.ts'
import { type Phase, showActions } from './actions.ts'
import { builtInOptions } from './address.ts'
import { download } from './download.ts'
import { byId, countWords } from './elements.ts'
import { listenForPictures } from './intake.ts'
import { offerKept } from './kept.ts'
import { layoutWorker, photoWorker } from './link.ts'
import { ask, clearNotices, notice, wordsOf } from './notices.ts'
import { RunView } from './run-view.ts'
import { showSkipped, skippedWords } from './skipped.ts'
import type { GpuState } from './webgpu.ts'

const LONGER = 2 // times as many steps

/** The page's state, and what its buttons do. */
export class App {
  readonly #worker: Remote<PhotoWorker>
  readonly #view: RunView
  readonly #gpu: GpuState
  #phase: Phase = 'ready'
  #isOnStart = true
  #set: PictureSet | null = null
  #ended: Ended | null = null
  #isFromFile = false // and not kept in the browser yet

  constructor(gpu: GpuState) {
    this.#gpu = gpu
    const ended = (reason: string) =>
      notice(`The page’s worker stopped (${reason}). Reload the page to go on.`, 'error')
    this.#worker = photoWorker(ended)
    this.#view = new RunView(layoutWorker(ended), gpu.isSoftware)
    listenForPictures({
      pictures: (files, given) => void this.#do(() => this.#readFiles(files, given)),
      builtIn: () => void this.#do(() => this.#drawBuiltIn()),
      saved: (file) => void this.#do(() => this.#open(file)),
      closed: () => this.#closed(),
      refuse: (why) => notice(why, 'error', 'refused'),
    })
    addEventListener('beforeunload', (event) => {
      if (this.#isAtRisk) event.preventDefault()
    })
  }

  /** True while a training would be lost with the tab. */
  get #isAtRisk(): boolean {
    return this.#view.isUnsaved && this.#view.hasRun && !this.#isOnStart
  }

  /** Says why no other pictures can come in now; null if they can. */
  #closed(): string | null {
    if (this.#isOnStart) return null
    if (!['ready', 'paused', 'finished'].includes(this.#phase))
      return 'Pause the training and start over to use other pictures.'
    return this.#isAtRisk
      ? 'This training is not kept in the browser. Save it as a file, or start over.'
      : null
  }

  /** Shows the first screen. */
  async showStart() {
    this.#isOnStart = true
    byId('start').hidden = false
    byId('work').hidden = true
    document.title = 'Kindred photos'
    await offerKept(this.#worker, {
      open: () => void this.#do(() => this.#open(null)),
      failed: (error) => notice(wordsOf(error), 'error'),
    })
  }

  /** Does what the user asked, and shows the error if it fails. */
  async #do(body: () => Promise<void>) {
    try {
      await body()
    } catch (error) {
      notice(wordsOf(error), 'error')
    }
  }

  #enter(phase: Phase) {
    this.#phase = phase
    showActions(byId('actions'), phase, {
      train: () => void this.#do(() => this.#train()),
      pause: () => void this.#do(() => this.#pause()),
      goOn: () => void this.#do(() => this.#goOn()),
      longer: () => void this.#do(() => this.#goOn((this.#ended?.steps ?? 0) * LONGER)),
      save: () => void this.#do(() => this.#save()),
      exportAs: (format) => void this.#do(() => this.#export(format)),
      stopReading: () => void this.#worker.stopReading(),
      startOver: () => void this.#do(() => this.#startOver()),
    })
    this.#view.phase(phase, this.#ended)
  }

  #showWork(title: string) {
    clearNotices()
    this.#isOnStart = false
    byId('start').hidden = true
    byId('work').hidden = false
    byId('set-title').textContent = title
    this.#ended = null
    this.#isFromFile = false
    this.#view.clear()
    showSkipped(byId('skipped'), [])
    scrollTo(0, 0)
  }

  #hearReading = proxy((event: ReadEvent) => this.#view.hearReading(event))

  async #readFiles(files: readonly GivenFile[], given: number) {
    if (files.length === 0) {
      const what =
        given === 0 ? 'There is nothing in it' : `${countWords(given, 'file')}, no picture`
      throw new Error(`${what}. Choose a folder with JPEG, PNG or other pictures.`)
    }
    this.#showWork(countWords(files.length, 'picture'))
    this.#enter('reading')
    this.#view.files = files
    await this.#took(() => this.#worker.readFiles([...files], this.#hearReading))
  }

  async #drawBuiltIn() {
    this.#showWork(countWords(builtInOptions.count, 'built-in picture'))
    this.#enter('reading')
    await this.#took(() => this.#worker.drawBuiltIn(builtInOptions, this.#hearReading))
  }

  /** Shows what was read. */
  async #took(read: () => Promise<PictureSet>) {
    try {
      this.#set = await read()
    } catch (error) {
      await this.showStart()
      throw error
    }
    const { names, kind, skipped } = this.#set
    byId('set-title').textContent = countWords(
      names.length,
      kind === 'own' ? 'picture' : 'built-in picture',
    )
    this.#view.names = names
    showSkipped(byId('skipped'), skipped)
    if (skipped.length > 0) notice(skippedWords(skipped), 'news', 'skipped')
    if (names.length === 0) {
      await this.showStart()
      throw new Error(`None of the ${countWords(skipped.length, 'file')} is a picture.`)
    }
    this.#enter('ready')
  }

  async #open(file: File | null) {
    this.#showWork('Opening …')
    this.#enter('opening')
    try {
      const opened = await this.#worker.open(file, this.#hearReading)
      this.#set = opened
      this.#view.names = opened.names
      byId('set-title').textContent = countWords(
        opened.names.length,
        opened.kind === 'own' ? 'picture' : 'built-in picture',
      )
      this.#ended = opened.run
    } catch (error) {
      await this.showStart()
      throw error
    }
    this.#isFromFile = file !== null
    this.#view.isUnsaved = this.#isFromFile
    const phase = this.#ended.isFinished ? 'finished' : 'paused'
    this.#enter(phase)
    if (this.#gpu.problem !== null) return
    await this.#worker.look(this.#view.hear)
    if (this.#phase === phase) this.#view.phase(phase, this.#ended)
  }

  async #train() {
    if (this.#gpu.problem !== null) throw new Error(this.#gpu.problem)
    const few = whyTooFew(this.#set?.names.length ?? 0)
    if (few !== null) throw new Error(few)
    if (!(await this.#mayReplace())) return
    await this.#run(() => this.#worker.begin(this.#view.choice(), this.#view.hear))
  }

  /** Asks whether the training that the browser keeps may be replaced, if there is one. */
  async #mayReplace(): Promise<boolean> {
    const kept = await this.#worker.kept().catch(() => null)
    const words =
      'This browser keeps one training, and this one will replace it. To have both, cancel, ' +
      'open the kept one from the first screen and save it as a file.'
    return !kept || (await ask(words, 'Replace it'))
  }

  async #goOn(steps?: number): Promise<void> {
    if (this.#gpu.problem !== null) throw new Error(this.#gpu.problem)
    if (this.#isFromFile && !(await this.#mayReplace())) return
    this.#isFromFile = false
    await this.#run(() => this.#worker.goOn(this.#view.hear, steps))
  }

  /** Runs a training until it ends or pauses. */
  async #run(body: () => Promise<Ended>) {
    const before = this.#phase
    this.#enter('training')
    try {
      this.#ended = await body()
    } catch (error) {
      this.#enter(this.#view.hasRun ? 'paused' : before)
      throw error
    }
    this.#enter(this.#ended.isFinished ? 'finished' : 'paused')
  }

  async #pause() {
    this.#enter('pausing')
    await this.#worker.pause()
  }

  async #save() {
    download(await this.#worker.save(), 'photos-training.safetensors')
  }

  async #export(format: 'safetensors' | 'onnx') {
    download(await this.#worker.exportEncoder(format), `photos-encoder.${format}`)
  }

  async #startOver() {
    const words = 'This training is not kept in the browser, and will be lost. Start over?'
    if (this.#isAtRisk && !(await ask(words, 'Start over'))) return
    clearNotices()
    this.#view.clear()
    await this.showStart()
  }
}
