// Follows a page that is served: fetches it again when it has changed, and takes over what differs.

import { type Data, dataOf } from './data.ts'

const LIVE = ['figures', 'warnings', 'subtitle'] // elements that change as a run trains

const partsOf = (page: Document) =>
  [...page.querySelectorAll('main section')].map(({ id }) => id).join()

const pictureOf = (data: Data) => data.map?.thumbnails.picture

/** Calls `take` with the data of each new state of the page, and whether the page has other parts
 *  than before, which it then holds already. The browser connects again when the server was
 *  away. */
export function follow(first: Data, take: (data: Data, hasOtherParts: boolean) => void) {
  let known = first
  const update = async () => {
    const answer = await fetch('.', { cache: 'no-store' }).catch(() => null)
    if (!answer?.ok) return
    const next = new DOMParser().parseFromString(await answer.text(), 'text/html')
    const data = dataOf(next)
    const isOther = partsOf(next) !== partsOf(document) || pictureOf(data) !== pictureOf(known)
    replace(next, isOther ? ['header', 'main'] : LIVE.map((id) => `#${id}`))
    known = data
    take(data, isOther)
  }
  new EventSource('events').addEventListener('changed', () => void update())
}

/** Puts elements of another page into this one. */
function replace(next: Document, selectors: readonly string[]) {
  for (const selector of selectors) {
    const [old, fresh] = [document.querySelector(selector), next.querySelector(selector)]
    if (old && fresh) old.replaceWith(document.adoptNode(fresh))
  }
}
