// Offers the training that the browser keeps.

import type { Remote } from 'comlink'
import type { KeptRun, PhotoWorker } from '../common/api.ts'
import { button, byId, countWords, make } from './elements.ts'
import { ask } from './notices.ts'

/** Shows what is kept on the first screen, if anything is. */
export async function offerKept(
  worker: Remote<PhotoWorker>,
  { open, failed }: { readonly open: () => void; readonly failed: (error: unknown) => void },
) {
  const place = byId('kept')
  place.hidden = true
  let kept: KeptRun | null
  try {
    kept = await worker.kept()
  } catch {
    // what is kept is damaged, or of an older page
    kept = null
  }
  if (!kept) return
  const forget = async () => {
    if (!(await ask('Delete the kept training? It cannot be brought back.', 'Delete it'))) return
    await worker.forget()
    place.hidden = true
  }
  const what = countWords(kept.pictures, kept.isBuiltIn ? 'built-in picture' : 'picture')
  const at =
    kept.step < kept.steps ? `step ${kept.step} of ${kept.steps}` : `all ${kept.steps} steps`
  place.replaceChildren(
    make('p', {}, make('b', {}, 'Your last training'), ` ${what}, ${at}`),
    make(
      'div',
      { class: 'buttons' },
      button(kept.step < kept.steps ? 'Continue it' : 'Look at it', open, { id: 'open-kept' }),
      button('Delete', () => void forget().catch(failed), { class: 'link' }),
    ),
  )
  place.hidden = false
}
