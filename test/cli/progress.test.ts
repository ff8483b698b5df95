import { Writable } from 'node:stream'
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { stripVTControlCharacters } from 'node:util'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { duration, startProgress } from '../../cli/progress.ts'

/** A stream that remembers what was written to it. */
function sink(isTTY: boolean, columns = 100) {
  const written: string[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      written.push(String(chunk))
      done()
    },
  })
  Object.assign(stream, { isTTY, columns })
  return { stream: stream as NodeJS.WriteStream, text: () => written.join('') } // as much of one as is used
}

/** The last ten of twenty steps, of 64 images each, one a second. */
function lastTen(options: { json: boolean; isTTY: boolean; columns?: number }) {
  const { stream, text } = sink(options.isTTY, options.columns)
  let time = 0
  const progress = startProgress({ json: options.json, stream, every: 4000, now: () => time })
  progress.note('kNN before training: 10.0%', { knn: 10 })
  progress.start(20) // resumed at step 10
  for (let step = 11; step <= 20; step++) {
    time += 1000
    progress.update(step, { loss: 6 - step / 10, images: 64 })
    if (step === 15) progress.note('half of it')
  }
  progress.stop()
  progress.stop()
  return text()
}

function tests() {
  const test = suite('progress')

  test('prints a line now and then where there is no terminal', () => {
    assert.equal(lastTen({ json: false, isTTY: false }).split('\n'), [
      'kNN before training: 10.0%',
      'step 11/20  loss 4.9000',
      'step 15/20  loss 4.5000  64 images/s  ETA 5s',
      'half of it',
      'step 19/20  loss 4.1000  64 images/s  ETA 1s',
      'step 20/20  loss 4.0000  64 images/s',
      '',
    ])
  })

  test('prints nothing but JSON lines when asked', () => {
    const lines = lastTen({ json: true, isTTY: true })
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
    assert.is(lines.length, 12)
    assert.equal(lines[0], { event: 'note', text: 'kNN before training: 10.0%', knn: 10 })
    assert.equal(lines[1], { event: 'step', step: 11, total: 20, loss: 4.9, images: 64 })
    assert.equal(lines[2], {
      event: 'step',
      step: 12,
      total: 20,
      loss: 4.8,
      images: 64,
      rate: 64,
      eta: 8,
    })
  })

  test('leaves measurements out of the speed, and counts those to come in the time left', () => {
    const { stream, text } = sink(false)
    let time = 0
    const progress = startProgress({ json: true, stream, now: () => time })
    progress.note('measuring kNN before training')
    time += 500_000
    progress.note('before training')
    progress.start(14, 4) // measured after steps 4, 8, 12 and 14
    for (let step = 1; step <= 14; step++) {
      time += 1000
      progress.update(step, { images: 64 })
      if (step === 3) {
        time += 7000
        progress.note('which is no measurement')
      }
      if (step % 4 !== 0) continue
      time += 10_000 * step
      progress.note('a measurement')
      progress.note('a warning after it')
      time += 3000 // saves
    }
    const steps = text()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as { event: string; rate?: number; eta?: number })
      .filter(({ event }) => event === 'step')
    assert.equal(
      steps.map(({ rate }) => rate),
      [undefined, ...Array.from({ length: 13 }, () => 64)],
    )
    assert.equal(
      steps.map(({ eta }) => eta),
      [
        ...[undefined, 12, 11, 10], // none has been made yet
        ...[9, 8, 7, 6].map((left) => left + 3 * 40),
        ...[5, 4, 3, 2].map((left) => left + 2 * 60),
        ...[1, 0].map((left) => left + 80),
      ],
    )
  })

  test('draws a bar in a terminal, with notes above it', () => {
    const text = lastTen({ json: false, isTTY: true })
    assert.ok(text.startsWith('kNN before training: 10.0%\n'))
    assert.match(text, /half of it\n/)
    assert.match(text, /\u2588{20} 100% {2}step 20\/20 {2}loss 4\.0000 {2}64 images\/s/)
    assert.not(
      text.includes('\x1b7'),
      'the cursor is not put back to where it was, which notes have scrolled away',
    )
  })

  test('fits a narrow terminal, the time left included, and makes the bar shorter', () => {
    for (const columns of [40, 60, 70]) {
      const text = lastTen({ json: false, isTTY: true, columns })
      const lines = stripVTControlCharacters(text.replaceAll('\x1b', '\n\x1b')).split(/[\r\n]/)
      const widest = Math.max(
        ...lines.filter((line) => line.includes('step')).map((line) => line.length),
      )
      assert.ok(widest < columns, `${widest} columns of ${columns}`)
      assert.match(text, /ETA 5s/)
    }
    assert.match(lastTen({ json: false, isTTY: true, columns: 70 }), /\u2588{17} 100% {2}step 20/)
  })

  test('breaks notes at words in a terminal alone', () => {
    const words = 'kNN accuracy is not measured: the set has no labels, or no test images'
    const notes = (isTTY: boolean, json = false) => {
      const { stream, text } = sink(isTTY, 40)
      startProgress({ json, stream }).note(words)
      return text()
    }
    assert.is(
      notes(true),
      'kNN accuracy is not measured: the set\nhas no labels, or no test images\n',
    )
    assert.is(notes(false), `${words}\n`)
    assert.is(notes(true, true), `{"event":"note","text":"${words}"}\n`)
  })

  test('a line of a log fits 60 columns whatever the counts', () => {
    const { stream, text } = sink(false)
    let time = 0
    const progress = startProgress({ json: false, stream, every: 0, now: () => time })
    progress.start(2_345_678)
    for (let step = 1_234_567; step < 1_234_570; step++) {
      progress.update(step, { loss: 12.3456, images: 4096 })
      time += 1000
    }
    progress.stop()
    const lines = text().trimEnd().split('\n')
    assert.is(lines.at(-1), 'step 1234569/2345678  loss 12.3456  4,096/s  ETA 12d 20h')
    assert.ok(lines.every((line) => line.length <= 60))
  })

  test('says durations as a person does', () => {
    const said = [0, 59.4, 59.6, 725, 11_220, 187_300].map(duration)
    assert.equal(said, ['0s', '59s', '1m 00s', '12m 05s', '3h 07m', '2d 4h'])
  })

  test('does not keep the process alive', () => {
    const { status } = spawnSync(process.execPath, [fileURLToPath(import.meta.url), 'leave'], {
      timeout: 120_000, // ends the test where it fails; it takes a second
    })
    assert.is(status, 0)
  })

  test.run()
}

if (process.argv[2] === 'leave') {
  const progress = startProgress({ json: false, stream: sink(true).stream })
  progress.start(10)
  progress.update(1)
  progress.note('a line') // and no stop
} else tests()
