// The page: what the user asks goes to the worker, and what the worker tells is shown.

import { type Remote, proxy } from 'comlink'
import type { Ended, GivenFile, PhotoWorker, PictureSet, ReadEvent } from '../common/api.ts'
import { whyTooFew } from '../common/fewest.ts'
import { type Phase, closedWords, showActions } from './actions.ts'
import { builtInOptions } from './address.ts'
import { download } from './download.ts'
import { byId, countWords, setWords } from './elements.ts'
import { listenForPictures } from './intake.ts'
import { mayReplaceKept, offerKept } from './kept.ts'
import { layoutWorker, photoWorker } from './link.ts'
import { ask, clearNotices, notice, wordsOf } from './notices.ts'
import { RunView } from './run-view.ts'
import { noPictureWords, showSkipped, skippedWords } from './skipped.ts'
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
  #isBusy = false // from the click that begins a training to its end

  constructor(gpu: GpuState) {
    this.#gpu = gpu
    const ended = (reason: string) =>
      notice(`The page’s worker stopped (${reason}). Reload the page to go on.`, 'error')
    this.#worker = photoWorker(ended)
    this.#view = new RunView(layoutWorker(ended), gpu)
    listenForPictures({
      pictures: (files, given) => void this.#do(() => this.#readFiles(files, given)),
      builtIn: () => void this.#do(() => this.#drawBuiltIn()),
      saved: (file) => void this.#do(() => this.#open(file)),
      mayTake: () => this.#mayTake(),
    })
    addEventListener('beforeunload', (event) => {
      if (this.#isAtRisk) event.preventDefault()
    })
  }

  /** True while a training would be lost with the tab. */
  get #isAtRisk(): boolean {
    return this.#view.isUnsaved && this.#view.hasRun && !this.#isOnStart
  }

  /** Tells whether other pictures may come in now. Says why not, or asks before a training is
   *  lost. */
  async #mayTake(): Promise<boolean> {
    if (this.#isOnStart) return true
    const phase = this.#phase
    const isIdle = ['ready', 'paused', 'finished'].includes(phase) && !this.#isBusy
    if (!isIdle) notice(closedWords(phase), 'error', 'refused')
    return (
      isIdle && (await this.#mayLose('Use other pictures', 'Use them')) && phase === this.#phase
    )
  }

  /** Asks whether a training at risk may be lost, for what the user wants to do. */
  async #mayLose(what: string, yes: string): Promise<boolean> {
    const words = `This training is not kept in the browser, and will be lost. ${what}?`
    return !this.#isAtRisk || ask(words, yes)
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

  /** Does what begins or leaves a training, unless that is being done: a second click does
   *  nothing. */
  async #once(body: () => Promise<void>) {
    if (this.#isBusy) return
    this.#isBusy = true
    await this.#do(body)
    this.#isBusy = false
  }

  #enter(phase: Phase) {
    this.#phase = phase
    showActions(
      byId('actions'),
      { phase, problem: this.#gpu.problem },
      {
        train: () => void this.#once(() => this.#train()),
        pause: () => void this.#do(() => this.#pause()),
        goOn: () => void this.#once(() => this.#goOn()),
        longer: () => void this.#once(() => this.#goOn((this.#ended?.steps ?? 0) * LONGER)),
        save: () => void this.#do(() => this.#save()),
        pack: () => void this.#do(() => this.#pack()),
        exportAs: (format) => void this.#do(() => this.#export(format)),
        stopReading: () => void this.#worker.stopReading(),
        startOver: () => void this.#once(() => this.#startOver()),
      },
    )
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
    this.#showWork(setWords(builtInOptions.count, 'built-in'))
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
    byId('set-title').textContent = setWords(names.length, kind)
    this.#view.names = names
    showSkipped(byId('skipped'), skipped)
    if (skipped.length > 0) notice(skippedWords(skipped), 'news', 'skipped')
    if (names.length === 0) {
      await this.showStart()
      throw new Error(noPictureWords(skipped.length))
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
      byId('set-title').textContent = setWords(opened.names.length, opened.kind)
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
    const few = whyTooFew(this.#set?.names.length ?? 0)
    if (few !== null) throw new Error(few)
    if (!(await mayReplaceKept(this.#worker))) return
    await this.#run(() => this.#worker.begin(this.#view.choice(), this.#view.hear))
  }

  async #goOn(steps?: number): Promise<void> {
    if (this.#isFromFile && !(await mayReplaceKept(this.#worker))) return
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
    const file = await this.#worker.save()
    const isZip = file.type === 'application/zip'
    download(file, `photos-training.${isZip ? 'zip' : 'safetensors'}`)
  }

  async #pack() {
    download(await this.#worker.pack(), 'photos-run.zip')
  }

  async #export(format: 'safetensors' | 'onnx') {
    download(await this.#worker.exportEncoder(format), `photos-encoder.${format}`)
  }

  async #startOver() {
    if (!(await this.#mayLose('Start over', 'Start over'))) return
    clearNotices()
    this.#view.clear()
    await this.showStart()
  }
}
