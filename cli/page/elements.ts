// Makes elements of the page. Text goes in as text.

/** Makes an element with attributes. */
export function makeElement<K extends keyof HTMLElementTagNameMap>(
  name: K,
  attributes: Readonly<Record<string, string>> = {},
): HTMLElementTagNameMap[K] {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value)
  return made
}

/** Makes a button that is pressed or not. Within `group` one is pressed at a time, always. */
export function toggle(
  text: string,
  colour: string | null,
  group: HTMLElement | null,
  isPressed: boolean,
  act: (isPressed: boolean, button: HTMLButtonElement) => void,
): HTMLButtonElement {
  const button = makeElement('button', { type: 'button', 'aria-pressed': String(isPressed) })
  if (colour !== null) {
    const dot = makeElement('i')
    dot.style.background = colour
    button.append(dot)
  }
  const label = makeElement('span')
  label.textContent = text
  button.title = text
  button.append(label)
  button.addEventListener('click', () => {
    const pressed = group !== null || button.getAttribute('aria-pressed') === 'false'
    for (const other of group?.querySelectorAll('button') ?? [])
      other.setAttribute('aria-pressed', 'false')
    button.setAttribute('aria-pressed', String(pressed))
    act(pressed, button)
  })
  return button
}
