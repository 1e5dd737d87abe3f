import { inspect } from 'node:util'

const REDACTED = '[redacted]'

/**
 * Bytes that must not print themselves. However it is logged, inspected, serialised or put into
 * a template, it shows `[redacted]`; only {@link SecretValue.reveal} gives the bytes.
 */
export class SecretValue {
  readonly #bytes: Uint8Array

  private constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  /** UTF-8 bytes of `text`. Lone surrogates become U+FFFD, as in JSON over HTTP. */
  static fromText(text: string): SecretValue {
    return new SecretValue(Buffer.from(text, 'utf8'))
  }

  /** `bytes` as they are; the caller must not change them afterwards. */
  static fromBytes(bytes: Uint8Array): SecretValue {
    return new SecretValue(bytes)
  }

  get byteLength(): number {
    return this.#bytes.byteLength
  }

  /** The bytes, for the one place that writes them where they belong. */
  reveal(): Uint8Array {
    return this.#bytes
  }

  toString(): string {
    return REDACTED
  }

  toJSON(): string {
    return REDACTED
  }

  [inspect.custom](): string {
    return REDACTED
  }
}
