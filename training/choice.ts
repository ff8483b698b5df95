// Complaints about the command line, and flags that take one of some words.

/** A complaint about the command line: told in one line, exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
}

/** The flag's value if it is one of those allowed, null when it was not given. Throws
 *  UsageError. */
export function choose<T extends string>(
  flag: string,
  value: string | undefined,
  allowed: readonly T[],
): T | null {
  if (value === undefined) return null
  const found = allowed.find((a) => a === value)
  if (!found) throw choice(flag, value, allowed)
  return found
}

/** What is said of a value that is none of those allowed. */
export const choice = (flag: string, value: string, allowed: readonly string[]) =>
  new UsageError(`${flag}: must be one of ${allowed.join(', ')}, got ${value}`)
