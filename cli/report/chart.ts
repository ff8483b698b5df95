// A chart of a page, as data: the page draws it with uPlot.

/** Values over x, null where nothing was measured. */
type Values = readonly (number | null)[]

/** A curve over x. */
export interface Curve {
  readonly label: string
  readonly y: Values
  /** A colour of the page's style sheet. */
  readonly colour: 'strong' | 'pale' | 'second' | 'third' | 'fourth' | 'fifth' | 'sixth'
  /** True for a constant. */
  readonly dashed?: boolean
  /** Edges of a band around it, such as one standard deviation; the legend leaves them out. */
  readonly band?: { readonly low: Values; readonly high: Values }
}

export interface Chart {
  readonly title: string
  /** What the curves mean, in a sentence. */
  readonly about?: string
  readonly xLabel: string
  readonly x: readonly number[]
  /** True for a logarithmic x axis with a mark at each x. */
  readonly logarithmic?: boolean
  /** True for a logarithmic y axis. Values must be positive. */
  readonly logarithmicY?: boolean
  /** True for a y axis that begins at 0. */
  readonly fromZero?: boolean
  readonly curves: readonly Curve[]
}
