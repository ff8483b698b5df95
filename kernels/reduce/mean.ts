import { sumTimes } from './sum.ts'

/** The mean of x over `axes` (all by default; negative ones count from the end), added up in a
 *  fixed order. Reduced axes are removed unless `keepDims`. Throws ShapeError for an axis that x
 *  does not have. */
export const mean = sumTimes('mean', (count) => 1 / count)
