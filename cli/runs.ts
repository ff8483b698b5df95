// Run folders for the command line. Messages name its options and commands.

import type { Config, Other } from '../training/storage.ts'
import * as checks from '../run-folder/check-place.ts'
import * as runs from '../run-folder/open.ts'
import type { Words } from '../run-folder/words.ts'
import { resumeCommand } from './command.ts'

/** Words for a command line. */
export const onCommandLine: Words = {
  goOn: (method, dir, other: Other = {}) => {
    const options = Object.entries(other).flatMap(([path, value]) => [optionOf(path), plain(value)])
    return resumeCommand(method, dir, ...options)
  },
  nameOf: optionOf,
  elsewhere: 'another --out',
}

/** Names the option that gives a setting. */
export function optionOf(setting: string): string {
  return `--${setting === 'schedule.lr' ? 'lr' : setting}`
}

/** Writes a number in few digits: 0.05, 1e+19. */
const plain = (value: number) =>
  value >= 1e-4 && value < 1e6 ? String(value) : value.toExponential()

/** Runs `createRun` of run-folder/. */
export const beginRun = (dir: string, config: Config) => runs.createRun(dir, config, onCommandLine)
/** Runs `openRun` of run-folder/. */
export const readRun = (dir: string) => runs.openRun(dir, onCommandLine)
/** Runs `resumeRun` of run-folder/. */
export const continueRun = (dir: string) => runs.resumeRun(dir, onCommandLine)
/** Runs `checkNew` of run-folder/. */
export const checkNewRun = (dir: string) => checks.checkNew(dir, onCommandLine)
/** Runs `checkOld` of run-folder/. */
export const checkOldRun = (dir: string) => checks.checkOld(dir, onCommandLine)

export { checkWritable } from '../run-folder/check-place.ts'
export { type RunFolder } from '../run-folder/run-folder.ts'
