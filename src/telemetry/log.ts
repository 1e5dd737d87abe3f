import { pino, type Logger } from 'pino'
import { KeyferryError } from '../errors.ts'

export type { Logger } from 'pino'

/** How to log. */
export interface LogOptions {
  readonly level: string
  /** `json` for collectors, `text` for people. */
  readonly format: 'json' | 'text'
}

/** Where lines go: standard output, unless a test listens. */
export interface Destination {
  write(line: string): void
}

/**
 * A logger. Errors are reduced to code, message, remedy and status: never headers, bodies or
 * whatever else a cause may carry.
 */
export function createLog(options: LogOptions, to: Destination = standardOutput()): Logger {
  const destination = options.format === 'json' ? to : asText(to)
  return pino(
    {
      level: options.level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { error: describeError },
      // A second net below the types: these names never belong into a log.
      redact: {
        paths: [
          'token',
          'password',
          'value',
          'data',
          'authorization',
          '*.token',
          '*.password',
          '*.value',
          '*.data',
          '*.authorization',
        ],
        censor: '[redacted]',
      },
    },
    destination,
  )
}

/** Written at once: nothing is lost when the process ends. */
function standardOutput(): Destination {
  return pino.destination({ fd: 1, sync: true })
}

/** What may be told of an error. */
export function describeError(error: unknown): Readonly<Record<string, unknown>> {
  if (!(error instanceof KeyferryError)) {
    const { name, stack } = error instanceof Error ? error : { name: 'unknown', stack: undefined }
    return { name, stack }
  }
  const { code, message, remedy, status, reason } = error
  return { code, message, remedy, status, reason }
}

/** One line for people: time, level, message, the rest as `name=value`. */
function asText(to: Destination): Destination {
  return {
    write(line) {
      const { time, level, msg, ...rest } = JSON.parse(line) as Record<string, unknown>
      const details = Object.entries(rest).map(([name, value]) => `${name}=${textOf(value)}`)
      const clock = String(time).slice(11, 19)
      to.write([clock, String(level).toUpperCase().padEnd(5), msg, ...details].join(' ') + '\n')
    },
  }
}

function textOf(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'message' in value) {
    return JSON.stringify(value.message)
  }
  return typeof value === 'string' && /^[^\s"=]+$/.test(value) ? value : JSON.stringify(value)
}
