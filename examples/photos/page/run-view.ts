// Shows what the worker tells of the pictures and of the training.

import { type Remote, proxy } from 'comlink'
import type { Choice, Ended, GivenFile, ReadEvent, RunEvent } from '../common/api.ts'
import type { LayoutWorker } from '../layout/worker.ts'
import type { Phase } from './actions.ts'
import { Atlas } from './atlas.ts'
import { type KnownNeighbours, showChosen } from './chosen.ts'
import { byId, countWords } from './elements.ts'
import { showLists } from './lists.ts'
import { MapPanel } from './map-panel.ts'
import { notice } from './notices.ts'
import { NumbersPanel } from './numbers.ts'
import { nearestOf } from './ranking.ts'
import { setupForm } from './setup.ts'
import { ViewsPanel } from './views.ts'
import type { GpuState } from './webgpu.ts'

const nothing: KnownNeighbours = { before: null, now: null, step: 0 }

/** The panels of the page. */
export class RunView {
  /** Names of the pictures. */
  names: readonly string[] = []
  /** The user's files, by path. */
  #files = new Map<string, File>()
  /** True once a training has begun. */
  hasRun = false
  /** True while the browser does not keep the training. */
  isUnsaved = false
  readonly #atlas = new Atlas()
  readonly #map: MapPanel
  readonly #numbers = new NumbersPanel()
  readonly #views = new ViewsPanel(this.#atlas)
  readonly #setup: ReturnType<typeof setupForm>
  readonly #canTrain: boolean
  #known = nothing
  #chosen: number | null = null
  #steps = 0

  constructor(layout: Remote<LayoutWorker>, { problem, isSoftware }: GpuState) {
    this.#canTrain = problem === null
    this.#map = new MapPanel(this.#atlas, layout, (i) => this.#choose(i))
    this.#setup = setupForm(isSoftware)
    byId('rail').append(this.#setup.form, this.#numbers.element, this.#views.element)
  }

  set files(files: readonly GivenFile[]) {
    this.#files = new Map(files.map(({ path, file }) => [path, file]))
  }

  /** What the user has chosen in the form. */
  choice(): Choice {
    return this.#setup.read()
  }

  clear() {
    this.#known = nothing
    this.#files.clear()
    this.names = []
    this.hasRun = false
    this.isUnsaved = false
    this.#atlas.clear()
    this.#map.clear()
    this.#numbers.clear()
    this.#views.clear()
    this.#choose(null)
    this.#showLists()
    this.#progress(0)
  }

  /** Shows where the page stands. */
  phase(phase: Phase, ended: Ended | null) {
    const isSetup = phase === 'ready' || phase === 'reading'
    this.#setup.form.hidden = !isSetup
    this.#numbers.element.hidden = isSetup
    byId('work').dataset['phase'] = phase
    if (phase !== 'training') this.#numbers.stop()
    const unable = this.#canTrain ? '' : ' This browser cannot train.'
    if (phase === 'finished' || phase === 'paused')
      this.#say(`${endWords(ended, this.isUnsaved)}${unable}`)
    if (phase === 'ready') {
      this.#say(this.#canTrain ? 'Ready to train.' : `Ready to look at.${unable}`)
      this.#progress(0)
    }
    if (phase === 'pausing') this.#say('Finishing the step, and saving.')
    if (ended && ended.steps > 0) this.#progress(ended.step / ended.steps)
    if (phase === 'ready' || phase === 'finished') document.title = 'Kindred photos'
  }

  hearReading(event: ReadEvent) {
    if (event.kind === 'thumbs') {
      this.#atlas.add(event.from, event.thumbs)
      this.#map.map.showGrid()
      return
    }
    if (event.kind === 'last') return
    const of = event.of.toLocaleString('en')
    this.#say(`Reading ${event.done.toLocaleString('en')} of ${of}`, 'off')
    this.#progress(event.done / event.of)
  }

  /** Shows what a training tells. */
  readonly hear = proxy((event: RunEvent) => {
    switch (event.kind) {
      case 'phase':
        return this.#say(`${event.words} …`)
      case 'start':
        this.hasRun = true
        this.#steps = event.steps
        return this.#numbers.start(event.steps)
      case 'step':
        return this.#step(event.step, event.loss, event.images)
      case 'losses':
        return this.#numbers.losses(event.steps, event.losses)
      case 'measured':
        return this.#numbers.measured(event.measured)
      case 'neighbours':
        this.#known =
          event.when === 'before'
            ? { ...this.#known, before: event.found }
            : { ...this.#known, now: event.found, step: event.step }
        this.#map.neighbours(event.when, event.found)
        this.#showLists()
        return this.#choose(this.#chosen)
      case 'views':
        return this.#views.show(event.pictures, event.views)
      default:
        return this.#hearOdd(event)
    }
  })

  /** Shows what is out of the ordinary. */
  #hearOdd(event: RunEvent) {
    if (event.kind === 'lost') {
      const from =
        event.from === 0 ? 'from the beginning' : `from its checkpoint of step ${event.from}`
      notice(
        `The GPU was lost at step ${event.at}: ${event.reason}. The training goes on ${from}, ` +
          'on a new device, as if nothing had happened.',
        'news',
        'lost',
      )
    } else if (event.kind === 'saved') this.isUnsaved = false
    else if (event.kind === 'unsaved') {
      this.isUnsaved = true
      notice(
        `This browser does not keep the training: ${event.reason}. Save it as a file before you close the tab.`,
        'error',
        'unsaved',
      )
    } else if (event.kind === 'note' && event.text.startsWith('warning: '))
      notice(event.text.slice('warning: '.length), 'news', 'warning')
  }

  #step(step: number, loss: number, images: number) {
    this.#numbers.step(step, loss, images)
    this.#progress(step / this.#steps)
    this.#say(`Step ${step.toLocaleString('en')} of ${this.#steps.toLocaleString('en')}`, 'off')
    document.title = `${Math.floor((100 * step) / this.#steps)}% · Kindred photos`
  }

  /** Writes the status line. What changes every second is not read aloud. */
  #say(words: string, live: 'polite' | 'off' = 'polite') {
    const status = byId('status')
    status.setAttribute('aria-live', live)
    if (status.textContent !== words) status.textContent = words
  }

  #progress(share: number) {
    byId('progress', HTMLProgressElement).value = share
  }

  #choose = (i: number | null) => {
    const isOther = i !== this.#chosen
    this.#chosen = i
    const found =
      this.#map.when === 'now' ? (this.#known.now ?? this.#known.before) : this.#known.before
    const near = i !== null && found ? nearestOf(found, i).map(({ picture }) => picture) : []
    this.#map.choose(i, near)
    const name = i === null ? '' : (this.names[i] ?? '')
    const file = this.#files.get(name) ?? null
    const shown = { names: this.names, atlas: this.#atlas, file, choose: this.#choose }
    showChosen(byId('chosen'), i, this.#known, shown)
    if (isOther) byId('map-said').textContent = i === null ? 'No picture chosen' : name
  }

  #showLists() {
    const choose = (i: number | null) => {
      this.#choose(i)
      byId('map').scrollIntoView({ block: 'nearest' })
    }
    showLists(byId('lists'), this.#known.now, { names: this.names, atlas: this.#atlas, choose })
  }
}

function endWords(ended: Ended | null, isUnsaved: boolean): string {
  if (!ended) return 'Stopped.'
  const kept = isUnsaved ? '' : ' Kept in this browser.'
  return ended.isFinished
    ? `Finished, after ${countWords(ended.step, 'step')}.${kept}`
    : `Paused at step ${ended.step.toLocaleString('en')} of ${ended.steps.toLocaleString('en')}.${kept}`
}
