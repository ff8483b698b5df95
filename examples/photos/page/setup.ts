// The form before a training: method, network, size of views, length.

import type { Choice } from '../common/api.ts'
import { withAddress } from './address.ts'
import { make } from './elements.ts'

interface Option {
  readonly value: string
  readonly words: string
  readonly about: string
}

const questions: readonly {
  readonly name: 'method' | 'network' | 'side' | 'steps'
  readonly title: string
  readonly options: readonly Option[]
}[] = [
  {
    name: 'method',
    title: 'Method',
    options: [
      {
        value: 'simclr',
        words: 'SimCLR',
        about: 'Pulls two views of a picture together, and all others of its batch apart.',
      },
      {
        value: 'moco',
        words: 'MoCo',
        about: 'Pulls two views of a picture together, and a queue of earlier ones apart.',
      },
    ],
  },
  {
    name: 'network',
    title: 'Network',
    options: [
      {
        value: 'small',
        words: 'Small',
        about: 'ResNet-8 of width 16: quick, for simple patterns.',
      },
      { value: 'medium', words: 'Medium', about: 'ResNet-18 of width 32: for a laptop’s GPU.' },
      { value: 'large', words: 'Large', about: 'ResNet-18 of width 64: for a strong GPU.' },
    ],
  },
  {
    name: 'side',
    title: 'Size of its views',
    options: [
      { value: '32', words: '32 px', about: 'Colours and coarse shapes.' },
      { value: '48', words: '48 px', about: 'Half again as fine, twice the work.' },
      { value: '64', words: '64 px', about: 'The finest, four times the work.' },
    ],
  },
  {
    name: 'steps',
    title: 'Length',
    options: [
      { value: '300', words: 'Quick', about: '300 steps: a first impression.' },
      { value: '1500', words: 'Usual', about: '1,500 steps.' },
      { value: '6000', words: 'Long', about: '6,000 steps. You can pause, and close the tab.' },
    ],
  },
]

/** Makes the form. `read` returns what is chosen. */
export function setupForm(isSoftware: boolean): {
  readonly form: HTMLFormElement
  readonly read: () => Choice
} {
  const usual = {
    method: 'simclr',
    network: isSoftware ? 'small' : 'medium',
    side: isSoftware ? '32' : '48',
    steps: isSoftware ? '300' : '1500',
  }
  const form = make('form', { id: 'setup', class: 'setup' })
  for (const { name, title, options } of questions)
    form.append(field(name, title, options, usual[name]))
  form.addEventListener('submit', (event) => event.preventDefault())
  return { form, read: () => readForm(form) }
}

function field(name: string, title: string, options: readonly Option[], usual: string) {
  const about = make('p', { class: 'fine', id: `about-${name}` })
  const row = make('div', { class: 'segments' })
  const group = make('fieldset', {}, make('legend', {}, title), row, about)
  for (const { value, words, about: text } of options) {
    const input = make('input', { type: 'radio', name, value, 'aria-describedby': about.id })
    input.checked = value === usual
    if (input.checked) about.textContent = text
    input.addEventListener('change', () => {
      about.textContent = text
    })
    row.append(make('label', {}, input, make('span', {}, words)))
  }
  return group
}

function readForm(form: HTMLFormElement): Choice {
  const data = new FormData(form)
  const chosen = (name: string) => {
    const value = data.get(name)
    return typeof value === 'string' ? value : ''
  }
  return withAddress({
    method: chosen('method') === 'moco' ? 'moco' : 'simclr',
    network: chosen('network') as Choice['network'], // its radio buttons have no other
    side: Number(chosen('side')),
    steps: Number(chosen('steps')),
    seed: 0,
  })
}
