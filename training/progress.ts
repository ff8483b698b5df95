// The output of a training while it runs.

/** Numbers of a step. */
export interface StepValues {
  readonly loss?: number
  /** Images since the last update; the speed is measured from them. */
  readonly images?: number
  readonly [other: string]: number | undefined
}

/** Receives the output of a training. */
export interface Progress {
  /** Begins the output of a training of `total` steps. It is measured at its end and every
   *  `measured` steps; only at its end if that is 0 or missing. */
  start(total: number, measured?: number): void
  /** Reports a finished step. */
  update(step: number, values?: StepValues): void
  /** Prints a line in words. `data` says the same to a program. */
  note(line: string, data?: object): void
  /** Ends the output. */
  stop(): void
}

/** An event of `train`. */
export type TrainingEvent =
  | { readonly event: 'start'; readonly steps: number }
  | { readonly event: 'step'; readonly step: number; readonly values: StepValues }
  | { readonly event: 'note'; readonly text: string; readonly data: object }

/** Makes a Progress that calls a function with each event. */
export const eventsTo = (onEvent: (event: TrainingEvent) => void): Progress => ({
  start: (steps) => onEvent({ event: 'start', steps }),
  update: (step, values = {}) => onEvent({ event: 'step', step, values }),
  note: (text, data = {}) => onEvent({ event: 'note', text, data }),
  stop() {},
})
