// Follows a page that is served: fetches it again when it has changed, and takes over what differs.

import { type Data, dataOf } from './data.ts'

const LIVE = ['figures', 'warnings', 'subtitle'] // elements that are replaced

const partsOf = (page: Document) =>
  [...page.querySelectorAll('main section')].map(({ id }) => id).join()

/** Calls `take` with the data of each new state of the page. Loads the whole page again when it has
 *  other parts. The browser connects again when the server was away. */
export function follow(take: (data: Data) => void) {
  const events = new EventSource('events')
  events.addEventListener('changed', () => void update(take))
}

async function update(take: (data: Data) => void) {
  const answer = await fetch('.', { cache: 'no-store' }).catch(() => null)
  if (!answer?.ok) return
  const next = new DOMParser().parseFromString(await answer.text(), 'text/html')
  const data = dataOf(next)
  const hasNewMap = data.map?.thumbnails.picture !== dataOf(document).map?.thumbnails.picture
  if (partsOf(next) !== partsOf(document) || hasNewMap) {
    location.reload()
    return
  }
  for (const id of LIVE) {
    const [old, fresh] = [document.getElementById(id), next.getElementById(id)]
    if (old && fresh) old.replaceWith(document.adoptNode(fresh))
  }
  take(data)
}
