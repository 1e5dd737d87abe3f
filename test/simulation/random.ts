/** Chance that a seed decides: the same seed, the same history. */
export interface Random {
  /** Uniform in [0, 1). */
  next(): number
  /** A whole number from `least` to `most`, both included. */
  between(least: number, most: number): number
  chance(probability: number): boolean
  pick<T>(choices: readonly T[]): T
}

/**
 * Source: Bob Jenkins' small fast generator (jsf32).
 *
 * @param seed a whole number below 2^32
 */
export function createRandom(seed: number): Random {
  let [a, b, c, d] = [0xf1ea5eed, seed | 0, seed | 0, seed | 0]
  const turn = (value: number, bits: number) => (value << bits) | (value >>> (32 - bits))
  const step = () => {
    const e = (a - turn(b, 27)) | 0
    a = b ^ turn(c, 17)
    b = (c + d) | 0
    c = (d + e) | 0
    d = (e + a) | 0
    return d >>> 0
  }
  for (let n = 0; n < 20; n += 1) step()
  const next = () => step() / 2 ** 32
  const between = (least: number, most: number) => least + Math.floor(next() * (most - least + 1))
  return {
    next,
    between,
    chance: (probability) => next() < probability,
    pick: <T>(choices: readonly T[]) => choices[between(0, choices.length - 1)] as T,
  }
}
