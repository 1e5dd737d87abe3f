/**
 * Five thousand resources on the status page: how much a browser has to do for them.
 */
import type { Browser, CDPSession, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openPage, startBrowser } from '../support/browser.ts'
import { eventually } from '../support/eventually.ts'
import { forEach } from '../support/for-each.ts'
import type { OperatorProcess } from '../support/operator.ts'
import { setStage, type Stage } from '../support/stage.ts'

const COUNT = 5_000
/** Resources made at the same time. */
const AT_ONCE = 32
/** Seconds of scripting until somebody has searched, sorted and scrolled. */
const MOST_SECONDS = 1

let stage: Stage
let browser: Browser
let operator: OperatorProcess

beforeAll(async () => {
  stage = await setStage()
  browser = await startBrowser()
  const names = Array.from({ length: COUNT }, (_, n) => `resource-${String(n).padStart(4, '0')}`)
  await forEach(names, AT_ONCE, async (name) => void (await stage.item(name, 'Any')))
  // What is shown is what is there; that nothing is written spares the API server.
  operator = await stage.operator({ DRY_RUN: 'true' })
})
afterAll(async () => {
  await browser.close()
  await stage.close()
})

/** Seconds of scripting so far, as the browser counts them. */
async function scripting(session: CDPSession): Promise<number> {
  const { metrics } = await session.send('Performance.getMetrics')
  return metrics.find(({ name }) => name === 'ScriptDuration')?.value ?? Number.NaN
}

const shown = (page: Page) => page.locator('.scroller tbody .name').allTextContents()

test('they are there, searched, sorted and scrolled with less than a second of scripting', async () => {
  await using opened = await openPage(browser, operator.page)
  const { page } = opened
  const session = await page.context().newCDPSession(page)
  await session.send('Performance.enable')
  await page.goto(operator.page)
  const count = page.locator('.count')
  await count.getByText(`${COUNT} of ${COUNT}`).waitFor()
  const loaded = await scripting(session)
  await page.getByLabel('Search').pressSequentially('resource-42')
  await count.getByText(`100 of ${COUNT}`).waitFor()
  await page.getByLabel('Search').fill('')
  await count.getByText(`${COUNT} of ${COUNT}`).waitFor()
  await page.getByRole('button', { name: 'Name', exact: true }).click()
  await page.getByRole('button', { name: 'Name', exact: true }).click()
  await eventually('the last is the first', async () => (await shown(page))[0] === 'resource-4999')
  await page.locator('.scroller tbody a').first().focus()
  await page.keyboard.press('End')
  await page.getByRole('link', { name: 'resource-0000' }).waitFor()
  const all = await scripting(session)
  console.log(
    `scripting: ${(loaded * 1000).toFixed(0)} ms to load, ${(all * 1000).toFixed(0)} ms in all`,
  )
  expect(all).toBeLessThan(MOST_SECONDS)
  // Only what is in sight is made.
  expect((await shown(page)).length).toBeLessThan(60)
  expect(opened.faults).toEqual([])
})

test('arrow keys lead to rows that are not made yet, and focus stays in sight', async () => {
  await using opened = await openPage(browser, operator.page)
  const { page } = opened
  await page.goto(operator.page)
  await page.locator('.count').getByText(`${COUNT} of ${COUNT}`).waitFor()
  const focused = () => page.evaluate<string>('document.activeElement.textContent')
  const untilFocused = (name: string) =>
    eventually(`${name} is focused`, async () => (await focused()) === name)
  await page.locator('.scroller tbody a').first().focus()
  await page.keyboard.press('ArrowDown')
  await untilFocused('resource-0001')
  for (let n = 2; n <= 40; n += 1) {
    await page.keyboard.press('ArrowDown')
    await untilFocused(`resource-${String(n).padStart(4, '0')}`)
  }
  await page.keyboard.press('End')
  await untilFocused('resource-4999')
  await page.keyboard.press('ArrowUp')
  await untilFocused('resource-4998')
  await page.keyboard.press('Home')
  await untilFocused('resource-0000')
  const row = page
    .getByRole('row')
    .filter({ has: page.getByRole('link', { name: 'resource-0000' }) })
  expect(await row.getAttribute('aria-rowindex')).toBe('2')
  expect(await page.getByRole('table').getAttribute('aria-rowcount')).toBe(String(COUNT + 1))
  // Whoever opens one and comes back is where they left the table.
  await page.keyboard.press('End')
  await untilFocused('resource-4999')
  await page.keyboard.press('Enter')
  await page.getByRole('heading', { name: /resource-4999$/ }).waitFor()
  await page.goBack()
  await untilFocused('resource-4999')
  // Tab leads through the table in one step.
  await page.keyboard.press('PageUp')
  await eventually('another row is focused', async () => (await focused()) !== 'resource-4999')
  await page.keyboard.press('Tab')
  const isInTable = () => page.evaluate('document.activeElement.closest(".scroller") !== null')
  await eventually('the table is left', async () => !(await isInTable()))
  expect(opened.faults).toEqual([])
})
