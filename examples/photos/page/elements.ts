// Finds and makes elements.

/** Returns an element of the page. Throws Error if it has none by that id, or of another kind. */
export function byId(id: string): HTMLElement
export function byId<T extends HTMLElement>(id: string, kind: new () => T): T
export function byId(id: string, kind: new () => HTMLElement = HTMLElement): HTMLElement {
  const found = document.getElementById(id)
  if (found instanceof kind) return found
  throw new Error(`the page has no #${id}`)
}

type Child = Node | string

/** Makes an element with attributes and children. */
export function make<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  attributes: Readonly<Record<string, string>> = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value)
  element.append(...children)
  return element
}

/** Makes a button that calls `onClick`. */
export function button(
  words: string,
  onClick: () => unknown,
  attributes: Readonly<Record<string, string>> = {},
): HTMLButtonElement {
  const made = make('button', { type: 'button', ...attributes }, words)
  made.addEventListener('click', onClick)
  return made
}

/** The words of a count: '1 picture', '2,000 pictures'. */
export const countWords = (count: number, one: string, many = `${one}s`): string =>
  `${count.toLocaleString('en')} ${count === 1 ? one : many}`

/** The words of a set of pictures: '12 built-in pictures'. */
export const setWords = (count: number, kind: 'own' | 'built-in'): string =>
  countWords(count, kind === 'own' ? 'picture' : 'built-in picture')
