// The buttons above the map: what can be done at this point.

import { button, make } from './elements.ts'

/** Where the page stands. */
export type Phase = 'reading' | 'ready' | 'training' | 'pausing' | 'paused' | 'finished' | 'opening'

/** Why no other pictures come in while the page stands there. */
export const closedWords = (phase: Phase): string =>
  phase === 'reading' || phase === 'opening'
    ? 'Wait until these pictures are read, and start over to use others.'
    : 'Pause the training and start over to use other pictures.'

/** What the buttons do. */
export interface Actions {
  readonly train: () => void
  readonly pause: () => void
  readonly goOn: () => void
  readonly longer: () => void
  readonly save: () => void
  readonly pack: () => void
  readonly exportAs: (format: 'safetensors' | 'onnx') => void
  readonly stopReading: () => void
  readonly startOver: () => void
}

/** Fills `place` with the buttons of a phase. A `problem` disables those that train. */
export function showActions(
  place: HTMLElement,
  { phase, problem }: { readonly phase: Phase; readonly problem: string | null },
  actions: Actions,
) {
  const trains = problem === null ? {} : { disabled: '', title: problem }
  const primary = { class: 'primary', ...trains }
  const over = () => button('Start over', actions.startOver, { id: 'start-over' })
  const byPhase: Record<Phase, () => HTMLElement[]> = {
    reading: () => [button('Stop reading', actions.stopReading)],
    opening: () => [],
    ready: () => [button('Start training', actions.train, { id: 'train', ...primary }), over()],
    training: () => [button('Pause', actions.pause, { id: 'pause' }), saveMenu(actions)],
    pausing: () => [button('Pausing …', () => {}, { disabled: '' })],
    paused: () => [
      button('Continue', actions.goOn, { id: 'go-on', ...primary }),
      saveMenu(actions),
      over(),
    ],
    finished: () => [
      button('Train longer', actions.longer, { id: 'longer', ...trains }),
      saveMenu(actions),
      over(),
    ],
  }
  const hadFocus = place.contains(document.activeElement)
  place.replaceChildren(...byPhase[phase]())
  if (hadFocus) place.querySelector('button')?.focus()
}

function saveMenu({ save, pack, exportAs }: Actions): HTMLElement {
  const menu = make('details', { class: 'menu', id: 'save-menu' }, make('summary', {}, 'Save'))
  const item = (words: string, about: string, id: string, act: () => void) => {
    const made = button(
      '',
      () => {
        menu.open = false
        act()
      },
      { id },
    )
    made.append(make('span', {}, words), make('small', {}, about))
    return made
  }
  menu.append(
    make(
      'div',
      {},
      item('The training', 'Pictures, network and losses, to go on in this page', 'save', save),
      item('The run, zip', 'For kindred import, to go on on a server', 'pack', pack),
      item('The encoder, safetensors', 'For PyTorch and others', 'export-safetensors', () =>
        exportAs('safetensors'),
      ),
      item('The encoder, ONNX', 'For ONNX Runtime', 'export-onnx', () => exportAs('onnx')),
    ),
  )
  menu.addEventListener('keydown', ({ key }) => {
    if (key === 'Escape') menu.open = false
  })
  return menu
}

addEventListener('pointerdown', ({ target }) => {
  for (const menu of document.querySelectorAll<HTMLDetailsElement>('.menu[open]'))
    if (!(target instanceof Node && menu.contains(target))) menu.open = false
})
