import { type Logger, pino } from 'pino'

/** Levels from the finest to the coarsest. */
export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error'

/** Levels as Connect numbers them. Source: logs of Connect 1.5, 1Password/connect issue 36 */
const NUMBERS: Readonly<Record<string, number>> = {
  fatal: 1,
  error: 1,
  warn: 2,
  info: 3,
  debug: 4,
  trace: 5,
}

const FLUSH_MS = 200

/**
 * JSON lines with Connect's member names: log_message, timestamp, level, scope. Callers pass
 * ids, statuses and durations; values, titles, names, filters, tokens and bodies never.
 * @param write gets each line with its newline; standard error when absent
 */
export function createLog(level: LogLevel, write?: (line: string) => void): Logger {
  const destination = write ? { write } : standardError()
  return pino(
    {
      level,
      base: null,
      messageKey: 'log_message',
      timestamp,
      formatters: { level: (label) => ({ level: NUMBERS[label] ?? 3 }) },
    },
    destination,
  )
}

/** Lines go out in pages of 4 KiB, at the latest after a fifth of a second. */
function standardError(): ReturnType<typeof pino.destination> {
  const destination = pino.destination({ dest: 2, sync: false, minLength: 4096 })
  setInterval(() => destination.flush(), FLUSH_MS).unref()
  return destination
}

let latest = { ms: 0, text: '' }

/** Thousands of lines share a moment: its text is made once. */
function timestamp(): string {
  const ms = Date.now()
  if (ms !== latest.ms) latest = { ms, text: `,"timestamp":"${new Date(ms).toISOString()}"` }
  return latest.text
}

export type { Logger }
