// Messages to the user: what went wrong, and what was done about it.

import { messageOf } from '../common/message-of.ts'
import { button, byId, make } from './elements.ts'

/** Shows a message until the user closes it. A message of the same `id` replaces it. */
export function notice(words: string, kind: 'error' | 'news' = 'news', id = words) {
  const place = byId('notices')
  for (const old of place.children) if (old.getAttribute('data-id') === id) old.remove()
  const role = kind === 'error' ? 'alert' : 'status'
  const made = make('div', { class: `notice is-${kind}`, role, 'data-id': id })
  made.append(
    make('p', {}, words),
    button('Close', () => made.remove(), { class: 'link' }),
  )
  place.append(made)
}

/** Removes all messages but the one that there is no GPU, which stays true. */
export function clearNotices() {
  for (const old of [...byId('notices').children])
    if (old.getAttribute('data-id') !== 'no-gpu') old.remove()
}

/** The words of an error, with a capital unless they begin with the name of a file. */
export function wordsOf(error: unknown): string {
  const words = messageOf(error)
  return /^[a-z]+[ ,:;]/.test(words) ? words.charAt(0).toUpperCase() + words.slice(1) : words
}

/** Asks the user; resolves to true if they agree. While another question is open, resolves to
 *  false. */
export function ask(words: string, yes: string): Promise<boolean> {
  const dialog = byId('ask', HTMLDialogElement)
  if (dialog.open) return Promise.resolve(false)
  const agree = button(yes, () => dialog.close('yes'), { class: 'primary' })
  const cancel = button('Cancel', () => dialog.close('no'))
  dialog.replaceChildren(make('p', {}, words), make('div', { class: 'buttons' }, agree, cancel))
  dialog.returnValue = ''
  dialog.showModal()
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => resolve(dialog.returnValue === 'yes'), { once: true })
  })
}
