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
      errorKey: 'error',
      serializers: { error: describeError, err: describeError },
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
  if (error instanceof KeyferryError) {
    const { code, message, remedy, status, reason } = error
    return { code, message, remedy, status, reason }
  }
  if (!(error instanceof Error)) return { name: 'unknown' }
  const { name, message, stack = '' } = error
  // A parser's message quotes the text around the fault, which may be a Secret.
  return { name, stack: error instanceof SyntaxError ? stack.replace(message, '…') : stack }
}

/** One line for people: time, level, message, the rest as `name=value`. */
function asText(to: Destination): Destination {
  return {
    write(line) {
      const { time, level, msg, ...rest } = JSON.parse(line) as Record<string, unknown>
      const details = Object.entries(rest).map(([name, value]) => `${name}=${textOf(value)}`)
      const clock = String(time).slice(11, 19)
      const start = [clock, String(level).toUpperCase().padEnd(5), visible(String(msg))]
      to.write([...start, ...details].join(' ') + '\n')
    },
  }
}

function textOf(value: unknown): string {
  if (typeof value === 'object' && value !== null && 'message' in value) {
    return visible(JSON.stringify(value.message))
  }
  const plain = typeof value === 'string' && /^[^\s"=]+$/.test(value)
  return visible(plain ? value : JSON.stringify(value))
}

/** What would move the cursor or turn the direction of text is written as an escape. */
function visible(text: string): string {
  const escape = (one: string) => `\\u{${one.codePointAt(0)?.toString(16)}}`
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, escape)
}
