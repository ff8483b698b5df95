import { DataError } from '../data/dataset.ts'

/** The message of the DataError that `act` throws or rejects with; throws when there is none. */
export async function refusal(act: () => unknown): Promise<string> {
  try {
    await act()
  } catch (error) {
    if (!(error instanceof DataError)) throw error
    return error.message
  }
  throw new Error('was not refused')
}
