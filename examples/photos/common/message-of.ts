// What was thrown, in words.

/** Returns an error's message, or anything else that was thrown as a string. */
export const messageOf = (thrown: unknown): string =>
  thrown instanceof Error ? thrown.message : String(thrown)
