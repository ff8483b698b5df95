// The ways for pictures to come in: drop, pickers, the built-in set, a saved training.

import type { GivenFile } from '../common/api.ts'
import { filesIn, filesOf, picturesAmong } from './drop.ts'
import { byId } from './elements.ts'

/** What is done with what comes in. */
export interface Intake {
  readonly pictures: (files: readonly GivenFile[], given: number) => void
  readonly builtIn: () => void
  readonly saved: (file: File) => void
  /** Resolves to false if nothing may come in now. */
  readonly mayTake: () => Promise<boolean>
}

/** Listens to all ways in. */
export function listenForPictures(intake: Intake) {
  const take = (files: readonly GivenFile[]) => {
    const [only] = files
    if (files.length === 1 && /\.(safetensors|zip)$/.test(only?.path ?? '') && only)
      intake.saved(only.file)
    else intake.pictures(picturesAmong(files), files.length)
  }
  for (const kind of ['folder', 'files']) {
    const input = byId(`${kind}-input`, HTMLInputElement)
    byId(`choose-${kind}`).addEventListener('click', () => input.click())
    input.addEventListener('change', () => {
      const files = filesOf(input)
      input.value = '' // the same folder may be chosen again
      if (files.length > 0) take(files)
    })
  }
  byId('use-built-in').addEventListener('click', intake.builtIn)
  const saved = byId('open-input', HTMLInputElement)
  byId('open-file').addEventListener('click', () => saved.click())
  saved.addEventListener('change', () => {
    const [file] = saved.files ?? []
    if (file) intake.saved(file)
    saved.value = ''
  })
  listenForDrops(intake, take)
}

function listenForDrops(intake: Intake, take: (files: readonly GivenFile[]) => void) {
  const veil = byId('veil')
  let inside = 0 // elements that the drag is in
  const hide = () => {
    inside = 0
    veil.hidden = true
  }
  const hasFiles = ({ dataTransfer }: DragEvent) => dataTransfer?.types.includes('Files') ?? false
  addEventListener('dragenter', (event) => {
    if (!hasFiles(event)) return
    inside++
    veil.hidden = false
  })
  addEventListener('dragleave', () => {
    if (--inside <= 0) hide()
  })
  addEventListener('dragover', (event) => {
    if (hasFiles(event)) event.preventDefault()
  })
  addEventListener('drop', (event) => {
    hide()
    const { dataTransfer } = event
    if (!dataTransfer || !hasFiles(event)) return
    event.preventDefault()
    void filesIn(dataTransfer).then(async (files) => {
      if (await intake.mayTake()) take(files)
    })
  })
}
