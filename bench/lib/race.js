// Contestants side by side on one problem: each in a process of its own, made fresh so that its
// memory is its own, all timed in turns, so that whatever else the machine does falls on all of
// them and their ratios are of one run.

import { startChild } from './children.js'

/** Measurements of every entrant {name, module, settings, problem}, or its `error`. `values` asks
 *  for the gradients too. */
export async function race(entrants, problem, { runs, patience, values, progress }) {
  const racers = entrants.map((entrant) => ({
    entrant,
    child: startChild(entrant, patience),
    times: {},
  }))
  try {
    for (const racer of racers) await prepare(racer, { problem, runs, values, progress })
    for (let run = 0; run < runs; run++) {
      const turn = racers.filter(({ ready }) => ready)
      for (let i = 0; i < turn.length; i++) await measure(turn[(run + i) % turn.length], progress)
    }
    return racers.map(({ entrant, ready, times, error }) => ({
      entrant,
      problem,
      ready,
      times,
      error,
    }))
  } finally {
    await Promise.all(racers.map(({ child }) => child.end()))
  }
}

async function prepare(racer, { problem, runs, values, progress }) {
  const { name, settings, problem: own } = racer.entrant
  progress.doing(`compiling ${name}`)
  try {
    const question = { do: 'prepare', problem: { ...problem, ...own }, settings, values }
    racer.ready = await racer.child.ask(question)
    for (const what of Object.keys(racer.ready.warm)) racer.times[what] = []
  } catch (error) {
    racer.error = error.message
    await racer.child.end()
    progress.skip(runs)
  }
}

async function measure(racer, progress) {
  try {
    for (const [what, { count }] of Object.entries(racer.ready.warm))
      racer.times[what].push(await racer.child.ask({ do: 'time', what, count }))
    progress.step(racer.entrant.name)
  } catch (error) {
    racer.error = error.message
    racer.ready = undefined
  }
}
