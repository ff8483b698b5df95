// Offers the training that the browser keeps, and asks before it is replaced.

import type { Remote } from 'comlink'
import type { KeptRun, PhotoWorker, UnreadableRun } from '../common/api.ts'
import { button, byId, make, setWords } from './elements.ts'
import { ask } from './notices.ts'

/** Shows what is kept on the first screen, if anything is. */
export async function offerKept(
  worker: Remote<PhotoWorker>,
  { open, failed }: { readonly open: () => void; readonly failed: (error: unknown) => void },
) {
  const place = byId('kept')
  place.hidden = true
  const kept = await worker.kept()
  if (!kept) return
  const forget = async () => {
    if (!(await ask('Delete the kept training? It cannot be brought back.', 'Delete it'))) return
    await worker.forget()
    place.hidden = true
  }
  const remove = button('Delete', () => void forget().catch(failed), { class: 'link' })
  if ('unreadable' in kept) place.replaceChildren(unreadableWords(kept), buttons(remove))
  else {
    const words = kept.step < kept.steps ? 'Continue it' : 'Look at it'
    place.replaceChildren(
      keptWords(kept),
      buttons(button(words, open, { id: 'open-kept' }), remove),
    )
  }
  place.hidden = false
}

const buttons = (...all: readonly HTMLElement[]) => make('div', { class: 'buttons' }, ...all)

function keptWords({ pictures, isBuiltIn, step, steps }: KeptRun): HTMLElement {
  const what = setWords(pictures, isBuiltIn ? 'built-in' : 'own')
  const at = step < steps ? `step ${step} of ${steps}` : `all ${steps} steps`
  return make('p', {}, make('b', {}, 'Your last training'), ` ${what}, ${at}`)
}

const unreadableWords = ({ unreadable }: UnreadableRun): HTMLElement =>
  make('p', {}, make('b', {}, 'Your last training cannot be read'), ` ${unreadable}`)

/** Asks whether the kept training may be replaced, if there is one. */
export async function mayReplaceKept(worker: Remote<PhotoWorker>): Promise<boolean> {
  const kept = await worker.kept()
  if (!kept) return true
  const words =
    'unreadable' in kept
      ? `This browser keeps a training that cannot be read: ${kept.unreadable}. It keeps one ` +
        'training, and this one will replace it.'
      : 'This browser keeps one training, and this one will replace it. To have both, cancel, ' +
        'open the kept one from the first screen and save it as a file.'
  return ask(words, 'Replace it')
}
