/** The quick judgement: ratios and counts, which hold on any machine; never times. */
import { readFile } from 'node:fs/promises'
import { type Figure, isReached } from './figures.ts'

/** Percent of the recorded ratio at least. */
const LEAST = 80
const RECORDED = new URL('recorded.json', import.meta.url)

/** Fails the process for a ratio far below the recorded one, and for a count beyond its goal. */
export async function pass(figures: readonly Figure[]): Promise<void> {
  const recorded = JSON.parse(await readFile(RECORDED, 'utf8')) as Record<string, number>
  const complaints = [
    ...Object.entries(recorded).flatMap(([scenario, percent]) => {
      const ratio = figures.find(
        (one) => one.scenario === scenario && one.what === 'operator / bare loop',
      )
      if (!ratio) return [`${scenario}: not measured`]
      if (ratio.value >= (percent * LEAST) / 100) return []
      return [
        `${scenario}: ${ratio.value.toFixed(0)} % of the bare loop, recorded are ${percent} %`,
      ]
    }),
    // Counts have no unit.
    ...figures
      .filter((figure) => figure.unit === '' && !isReached(figure))
      .map(({ scenario, what, value }) => `${scenario}: ${what}: ${value}`),
  ]
  for (const line of complaints) console.log(`MISSED ${line}`)
  if (complaints.length > 0) process.exitCode = 1
}
