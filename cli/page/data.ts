// The data in a page.

import type { Chart } from '../report/chart.ts'

/** Features on a plane, as report.json holds them. */
export interface MapData {
  readonly of: string
  readonly from: number
  readonly size: number
  readonly labels: readonly number[]
  readonly predictions: readonly number[]
  readonly files: readonly string[]
  readonly classes: readonly string[]
  readonly thumbnails: {
    readonly picture: string
    readonly side: number
    readonly columns: number
  }
  readonly layouts: readonly {
    readonly name: string
    readonly about: string
    readonly points: readonly number[]
  }[]
}

/** What a page draws. */
export interface Data {
  readonly charts: readonly Chart[]
  readonly map: MapData | null
  readonly isLive: boolean
}

/** Reads the data of a page. */
export const dataOf = (page: Document): Data =>
  JSON.parse(page.getElementById('data')?.textContent ?? '{}') as Data // this program wrote it

/** Returns a colour of the style sheet, in the present scheme. */
export const colourOf = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()
