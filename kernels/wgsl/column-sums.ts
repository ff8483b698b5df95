// Sums of the columns of a matrix, in parts that are added in a fixed order.

import { type Run, type Tensor, elementwise, flatIndex, kernel, matrix } from '../op.ts'
import { sumSplits } from './sum-splits.ts'
import { byWidth, widthOf } from './widths.ts'

const sumsKernel = byWidth(
  (types) => kernel`
  struct Params { rows: u32, columns: u32, each: u32 }
  ${types}
  @group(0) @binding(0) var<storage, read>       x:   array<F>; // [rows, columns]
  @group(0) @binding(1) var<storage, read_write> out: array<F>; // [splits, columns], sums of p.each rows
  @group(0) @binding(2) var<uniform>             p:   Params;
  ${flatIndex}
  @compute @workgroup_size(64)
  fn columnSums(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
    let column = flat(id, groups);
    if (column >= p.columns) { return; }
    var sum = F();
    let end = min(p.rows, (id.z + 1u) * p.each);
    for (var row = id.z * p.each; row < end; row++) { sum += x[row * p.columns + column]; }
    out[id.z * p.columns + column] = sum;
  }
`,
)

/** The sums of the columns of x [rows, columns]: the gradient of a bias. */
export function columnSums(run: Run, x: Tensor): Tensor {
  const [rows, columns] = matrix(x.shape, 'columnSums: x')
  const each = run.software ? Math.max(1, rows) : Math.max(32, Math.ceil(rows / 4096)) // on a GPU, many short sums at once
  const parts = Math.max(1, Math.ceil(rows / each))
  const width = columns / widthOf(columns)
  const [partial] = run(sumsKernel(columns), {
    reads: [x],
    makes: [[parts, columns]],
    params: { rows, columns: width, each },
    groups: [...elementwise(width), parts],
  })
  return sumSplits(run, partial, [columns])
}
