// What a training tells while it runs.

/** Numbers that go with a step; all but `images` are shown or printed as they are. */
export interface StepValues {
  readonly loss?: number
  /** Images taken since the last step that was told. */
  readonly images?: number
  readonly [other: string]: number | undefined
}

/** Receives what a training tells. */
export interface Progress {
  /** Tells how many steps the whole training has. Speed is measured from the first update on. */
  start(total: number): void
  update(step: number, values?: StepValues): void
  /** Tells a line in words; `data` is the same for a program. */
  note(line: string, data?: object): void
  /** Ends the output. */
  stop(): void
}

/** What `train` tells a library's user, as one object each. */
export type TrainingEvent =
  | { readonly event: 'start'; readonly steps: number }
  | { readonly event: 'step'; readonly step: number; readonly values: StepValues }
  | { readonly event: 'note'; readonly text: string; readonly data: object }

/** A Progress that hands events to a function. */
export const eventsTo = (onEvent: (event: TrainingEvent) => void): Progress => ({
  start: (steps) => onEvent({ event: 'start', steps }),
  update: (step, values = {}) => onEvent({ event: 'step', step, values }),
  note: (text, data = {}) => onEvent({ event: 'note', text, data }),
  stop() {},
})
