import { type Logger, pino } from 'pino'

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

/**
 * JSON lines with Connect's member names: log_message, timestamp, level, scope. Callers pass
 * ids, statuses and durations; values, titles, names, filters, tokens and bodies never.
 * @param write gets each line with its newline; standard error when absent
 */
export function createLog(level: LogLevel, write?: (line: string) => void): Logger {
  const destination = write ? { write } : pino.destination({ dest: 2, sync: false })
  return pino(
    {
      level,
      base: null,
      messageKey: 'log_message',
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: NUMBERS[label] ?? 3 }) },
    },
    destination,
  )
}

export type { Logger }
