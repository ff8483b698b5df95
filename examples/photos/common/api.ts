// What the page and its worker say to each other. The worker has the pictures and the GPU; the page
// shows what it is told.

/** A file of the user, with its path below the dropped folder. */
export interface GivenFile {
  readonly path: string
  readonly file: File
}

/** A file that is no picture, and why. */
export interface SkippedFile {
  readonly path: string
  readonly reason: string
}

/** What the worker has read. */
export interface PictureSet {
  readonly kind: 'own' | 'built-in'
  /** Names of the pictures: paths of files, or classes with a number. */
  readonly names: readonly string[]
  readonly skipped: readonly SkippedFile[]
}

/** Options of the built-in pictures. */
export interface BuiltInOptions {
  readonly count: number
  /** Pictures that only kNN accuracy is measured on. */
  readonly test: number
  /** Side in pixels. */
  readonly side: number
  /** How many of the ten kinds of patterns; all by default. */
  readonly kinds?: number
  readonly seed: number
}

/** What the user chooses before a training. */
export interface Choice {
  readonly method: 'simclr' | 'moco'
  readonly network: Network
  /** Width of the first stage of the network, if not the network's own. */
  readonly width?: number
  /** Side of the views in pixels. */
  readonly side: number
  /** Number of steps; a training has as many epochs as that takes. */
  readonly steps: number
  /** Images in a batch, if not by the number of pictures. */
  readonly batch?: number
  /** How often the features are measured at most, if not the usual 40 times. */
  readonly looks?: number
  readonly seed: number
}

export type Network = 'small' | 'medium' | 'large'

/** The nearest pictures of every picture, by the cosine of features. */
export interface Neighbourhood {
  /** [M, k], numbers of pictures, nearest first; a picture is not its own neighbour. */
  readonly indices: Uint32Array
  /** [M, k], cosines. */
  readonly cosines: Float32Array
  readonly k: number
}

/** How the features lie, and what they are worth. */
export interface Measurement {
  readonly step: number
  /** The collapse meter: 1 when features spread evenly, 0 when all are one direction. */
  readonly spread?: number
  /** kNN accuracies in percent, where the pictures have classes. */
  readonly knn?: number
  readonly untrained?: number
  readonly pixels?: number
}

/** Pictures as RGBA bytes, one after another. */
export interface Thumbs {
  readonly rgba: Uint8ClampedArray<ArrayBuffer>
  readonly side: number
  readonly count: number
}

/** The last of a call's events. Events and answers come by different ways: a call that awaits this
 *  one answers after all of them are heard. */
export interface LastEvent {
  readonly kind: 'last'
}

/** What a training tells while it runs. */
export type RunEvent =
  | LastEvent
  | { readonly kind: 'phase'; readonly words: string }
  | { readonly kind: 'start'; readonly step: number; readonly steps: number }
  | { readonly kind: 'step'; readonly step: number; readonly loss: number; readonly images: number }
  | {
      readonly kind: 'losses'
      readonly steps: readonly number[]
      readonly losses: readonly number[]
    }
  | { readonly kind: 'measured'; readonly measured: Measurement }
  | {
      readonly kind: 'neighbours'
      readonly when: 'before' | 'now'
      readonly step: number
      readonly found: Neighbourhood
    }
  | {
      readonly kind: 'views'
      readonly pictures: readonly number[]
      readonly views: readonly [Thumbs, Thumbs]
    }
  | { readonly kind: 'lost'; readonly at: number; readonly from: number; readonly reason: string }
  | { readonly kind: 'saved'; readonly step: number; readonly bytes: number }
  | { readonly kind: 'unsaved'; readonly reason: string }
  | { readonly kind: 'note'; readonly text: string }

/** What the worker tells while it reads pictures. */
export type ReadEvent =
  | LastEvent
  | { readonly kind: 'reading'; readonly done: number; readonly of: number }
  | { readonly kind: 'thumbs'; readonly from: number; readonly thumbs: Thumbs }

/** Tells the page an event. What it returns resolves when the page has heard it. */
export type Tell<Event> = (event: Event) => unknown

/** How a training ended: at its last step, or because the user asked it to stop. */
export interface Ended {
  readonly isFinished: boolean
  readonly step: number
  readonly steps: number
}

/** The training that the browser keeps, as the page offers it. */
export interface KeptRun {
  readonly pictures: number
  readonly isBuiltIn: boolean
  readonly step: number
  readonly steps: number
}

/** A kept training that cannot be read, and why. */
export interface UnreadableRun {
  readonly unreadable: string
}

/** What `open` found in a file. */
export interface OpenedRun extends PictureSet {
  readonly choice: Choice
  readonly run: Ended
}

/** Everything that the page asks of its worker. */
export interface PhotoWorker {
  /** Reads the user's files. Names those that are no pictures, and skips them. */
  readFiles(files: readonly GivenFile[], tell: Tell<ReadEvent>): Promise<PictureSet>
  /** Ends `readFiles` early: what is read so far stays. */
  stopReading(): Promise<void>
  /** Draws the built-in pictures. */
  drawBuiltIn(options: BuiltInOptions, tell: Tell<ReadEvent>): Promise<PictureSet>
  /** Begins a training, which ends at its last step or by `pause`. Rejects while another runs. */
  begin(choice: Choice, tell: Tell<RunEvent>): Promise<Ended>
  /** Goes on with a training, up to `steps` if they are more than it had. Rejects while one
   *  runs. */
  goOn(tell: Tell<RunEvent>, steps?: number): Promise<Ended>
  /** Asks a training to finish its step, save and end. */
  pause(): Promise<void>
  /** The training that this browser has kept, or null. */
  kept(): Promise<KeptRun | UnreadableRun | null>
  /** Deletes it. */
  forget(): Promise<void>
  /** Opens the kept training, or that of a file. */
  open(file: Blob | null, tell: Tell<ReadEvent>): Promise<OpenedRun>
  /** Measures an opened training: losses so far, neighbours before and now. */
  look(tell: Tell<RunEvent>): Promise<void>
  /** The whole training as a file: pictures, weights, optimizer, losses. A zip, as `pack` makes it,
   *  if it came with its images. */
  save(): Promise<Blob>
  /** The training as a packed run with the images that it reads, for `kindred import`. */
  pack(): Promise<Blob>
  /** The encoder alone. */
  exportEncoder(format: 'safetensors' | 'onnx'): Promise<Blob>
}
