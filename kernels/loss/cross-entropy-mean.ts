// The mean of a cross entropy: the sum of the rows' losses over that of their weights.

import { kernel } from '../op.ts'

export const meanKernel = kernel`
  struct Params { nan: f32 }
  @group(0) @binding(0) var<storage, read>       sums: array<f32>; // [2]: losses, weights
  @group(0) @binding(1) var<storage, read_write> loss: array<f32>; // []
  @group(0) @binding(2) var<uniform>             p:    Params;
  @compute @workgroup_size(1)
  fn crossEntropyMean() {
    var mean = p.nan;
    if (sums[1] != 0.0) { mean = sums[0] / sums[1]; }
    loss[0] = mean;
  }
`
