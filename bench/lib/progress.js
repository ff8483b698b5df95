// How far a bench is, on standard error: a bar in a terminal, a line now and then in a log.

import { SingleBar } from 'cli-progress'

/** A bar that counts measurements; it appears once it knows how many there will be. */
export function startProgress() {
  const bar = new SingleBar({
    stream: process.stderr,
    format: '{bar} {value} of {total} measurements  {rate}/s  ETA {left}  {where} {doing}',
    barsize: 20,
    hideCursor: true,
    noTTYOutput: true,
    notTTYSchedule: 10_000, // ms between the lines of a log
  })
  const start = performance.now()
  let [done, total, where, doing] = [0, 0, '', '']
  const show = () => {
    const seconds = (performance.now() - start) / 1000
    const left = done > 0 ? `${Math.ceil((seconds / done) * (total - done))} s` : 'unknown'
    const payload = { where, doing, left, rate: (done / seconds).toFixed(2) }
    if (bar.isActive) bar.update(done, payload)
    else bar.start(total, done, payload)
    bar.setTotal(total)
  }
  return {
    expect(count) {
      total += count
      show()
    },
    at(place) {
      where = place
      show()
    },
    doing(what) {
      doing = what
      show()
    },
    step(what) {
      done++
      doing = what
      show()
    },
    /** Some measurements will not be made. */
    skip(count) {
      total -= count
      show()
    },
    stop: () => bar.stop(),
  }
}
