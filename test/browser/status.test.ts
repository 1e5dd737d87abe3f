/**
 * The status page in a real browser, served by a real operator on a real API server.
 */
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { barriersOn, openPage, startBrowser, type WatchedPage } from '../support/browser.ts'
import { hasReason, isReady } from '../support/cluster.ts'
import { leaksIn, PLANTED } from '../support/leaks.ts'
import { type OperatorProcess, TOKEN } from '../support/operator.ts'
import { aDeployment, setStage, type Stage } from '../support/stage.ts'

/** Of an item that no resource names by it. */
const HIDDEN_TITLE = `${PLANTED}title-5e1f`

let stage: Stage
let browser: Browser
let operator: OperatorProcess

beforeAll(async () => {
  stage = await setStage()
  browser = await startBrowser()
  const { connect, vault, cluster } = stage
  const field = { label: 'password', value: `${PLANTED}value-77` }
  connect.add(vault, { title: 'Database', fields: [{ label: 'username', value: 'app' }, field] })
  const hidden = connect.add(vault, { title: HIDDEN_TITLE, fields: [field] })
  const optIn = { 'operator.1password.io/auto-restart': 'true' }
  await cluster.create('deployments', aDeployment('web', ['database'], optIn))
  await cluster.create('deployments', aDeployment('api', ['database']))
  const url =
    'db://{{ op://Production/Database/username }}:{{ op://Production/Database/password }}@x'
  await stage.item('database', 'Database', { spec: { data: { url, note: `${PLANTED}literal` } } })
  await stage.item('by-id', hidden)
  await stage.item('missing', 'Not there yet')
  operator = await stage.operator()
  await cluster.until('items', 'database', isReady)
  await cluster.until('items', 'by-id', isReady)
  await cluster.until('items', 'missing', hasReason('ItemNotFound'))
})
afterAll(async () => {
  await browser.close()
  await stage.close()
})

/** Opens the page and waits for its first news; at the end nothing went wrong in it. */
async function checkPage(
  options: Parameters<typeof openPage>[2],
  act: (page: Page, opened: WatchedPage) => Promise<void>,
): Promise<void> {
  await using opened = await openPage(browser, operator.page, options)
  await opened.page.goto(operator.page)
  await opened.page.getByText('Live').waitFor()
  await act(opened.page, opened)
  expect(opened.faults).toEqual([])
}

const rowsOf = (page: Page) => page.locator('.scroller tbody tr:not(.gap)')
const rowOf = (page: Page, name: string) =>
  rowsOf(page).filter({ has: page.getByRole('link', { name, exact: true }) })
const namesOn = (page: Page) => page.locator('.scroller tbody .name').allTextContents()

test('health is told at a glance, and each resource with its reason and remedy', async () => {
  await checkPage({}, async (page) => {
    for (const text of ['Answers', 'None needed', 'Empty', 'every 1s']) {
      await page.locator('.cards').getByText(text).waitFor()
    }
    expect(await rowOf(page, 'missing').innerText()).toMatch(
      /failed\s+ItemNotFound\s+Check the title or id of the item/,
    )
    expect(await rowOf(page, 'database').innerText()).toMatch(/ready\s+Synced\s+1\s/)
    // Trouble is first.
    expect(await namesOn(page)).toEqual(['missing', 'by-id', 'database'])
  })
})

test('search, filters and sorting narrow the table down', async () => {
  await checkPage({}, async (page) => {
    const count = page.locator('.count')
    await page.getByLabel('Search').fill('MISS notfound')
    await count.getByText('1 of 3').waitFor()
    expect(await namesOn(page)).toEqual(['missing'])
    await page.getByLabel('Search').fill('nothing of that kind')
    await page.getByText('No resource answers to that.').waitFor()
    await page.getByLabel('Search').fill('')
    await page.getByRole('button', { name: 'failed 1' }).click()
    expect(await namesOn(page)).toEqual(['missing'])
    await page.getByRole('button', { name: 'failed 1' }).click()
    await page.getByLabel('Reason').selectOption('Synced')
    await page.getByRole('button', { name: 'Name', exact: true }).click()
    expect(await namesOn(page)).toEqual(['by-id', 'database'])
    await page.getByRole('button', { name: 'Name', exact: true }).click()
    expect(await namesOn(page)).toEqual(['database', 'by-id'])
    const sorted = page.getByRole('columnheader', { name: 'Name', exact: true })
    expect(await sorted.getAttribute('aria-sort')).toBe('descending')
  })
})

test('what changes shows by itself: rows that come, change and go', async () => {
  const { cluster, connect, vault } = stage
  await checkPage({}, async (page) => {
    await stage.item('later', 'Later')
    await rowOf(page, 'later').getByText('ItemNotFound').waitFor()
    const id = connect.add(vault, { title: 'Later', fields: [{ label: 'k', value: 'v' }] })
    await rowOf(page, 'later').getByText('Synced').waitFor()
    connect.edit(id, { fields: [{ label: 'k', value: 'w' }] })
    await rowOf(page, 'later').locator('.version').getByText('2').waitFor()
    await cluster.delete('items', 'later')
    await rowOf(page, 'later').waitFor({ state: 'detached' })
  })
})

test('a resource has a page: keys, workloads, conditions, history, all of it live', async () => {
  const { connect, cluster } = stage
  await checkPage({}, async (page) => {
    await page.getByRole('link', { name: 'database' }).click()
    const section = (name: string) => page.getByRole('region', { name, exact: true }).first()
    await section('Keys').getByText('a literal of the resource').waitFor()
    expect(await section('Keys').innerText()).toContain(
      'op://Production/Database/username, op://Production/Database/password',
    )
    expect(await section('Workloads').innerText()).toMatch(/Deployment\/web\s+its pods\s+restarts/)
    expect(await section('Workloads').innerText()).toMatch(
      /Deployment\/api\s+its pods\s+is left alone/,
    )
    expect(await section('Conditions').innerText()).toMatch(/Ready\s+True/)
    const { itemId } = (await cluster.get('items', 'database'))['status'].items[0]
    connect.set(itemId, 'username', 'other')
    for (const text of ['Secret updated version 2', 'Restarted Deployment/web']) {
      await page.locator('.history').getByText(text).waitFor()
    }
    await page.getByRole('link', { name: 'All resources' }).click()
    await rowOf(page, 'database').waitFor()
  })
})

test('the picture is walked by arrow keys, from the vault to the workloads', async () => {
  await checkPage({}, async (page) => {
    await page.goto(`${operator.page}/#/resources/${stage.cluster.namespace}/database`)
    const focused = () => page.evaluate<string>('document.activeElement.getAttribute("aria-label")')
    await page.getByRole('option', { name: /^database Secret/ }).focus()
    const steps: [string, RegExp][] = [
      ['ArrowLeft', /^Database item, version \d; from Production; to database$/],
      ['ArrowLeft', /^Production vault; to Database/],
      ['ArrowLeft', /^Production vault/],
      ['ArrowRight', /^Database item/],
      ['ArrowRight', /^database Secret, Opaque; from Database/],
      ['ArrowRight', /^api Deployment; from database$/],
      ['ArrowDown', /^web Deployment/],
      ['ArrowDown', /^web Deployment/],
      ['Home', /^Production vault/],
    ]
    for (const [key, label] of steps) {
      await page.keyboard.press(key)
      expect(await focused(), key).toMatch(label)
    }
  })
})

test('while the operator is away the page says so, and it goes on with the next one', async () => {
  const { cluster } = stage
  const STATUS_ADDRESS = new URL(operator.page).host
  await checkPage({}, async (page) => {
    await rowOf(page, 'database').waitFor()
    await operator.stop()
    await page.getByText('Disconnected: this is as of').waitFor()
    // What was known stays to be read.
    await rowOf(page, 'database').waitFor()
    await stage.item('meanwhile', 'Database')
    await cluster.delete('items', 'missing')
    operator = await stage.operator({ STATUS_ADDRESS })
    await page.getByText('Live').waitFor()
    await rowOf(page, 'meanwhile').getByText('Synced').waitFor()
    await rowOf(page, 'missing').waitFor({ state: 'detached' })
  })
})

test('a connection that dies without a word is noticed', async () => {
  await using opened = await openPage(browser, operator.page)
  const { page } = opened
  await page.clock.install()
  await page.goto(operator.page)
  await page.getByText('Live').waitFor()
  operator.signal('SIGSTOP')
  try {
    await page.clock.fastForward(20_000)
    await page.getByText('Disconnected: this is as of').waitFor()
  } finally {
    operator.signal('SIGCONT')
  }
  await page.getByText('Live').waitFor()
  expect(opened.faults).toEqual([])
})

test.each([
  ['light', { colorScheme: 'light' }],
  ['dark', { colorScheme: 'dark' }],
  ['narrow', { viewport: { width: 360, height: 640 } }],
] as const)('%s: no barrier of serious or critical impact', async (_name, options) => {
  await checkPage(options, async (page) => {
    await rowOf(page, 'database').waitFor()
    expect(await barriersOn(page)).toEqual([])
    await page.getByRole('link', { name: 'database' }).click()
    await page.getByRole('option', { name: /^database Secret/ }).waitFor()
    expect(await barriersOn(page)).toEqual([])
    // Nothing but what scrolls by itself is wider than the screen.
    const wider = 'document.documentElement.scrollWidth > innerWidth'
    expect(await page.evaluate(wider)).toBe(false)
  })
})

test('no answer shows a value, a token, a literal, or a title that no resource names', async () => {
  await checkPage({}, async (page, { answers }) => {
    for (const name of ['database', 'by-id']) {
      await page.getByRole('link', { name, exact: true }).click()
      await page.getByRole('option', { name: new RegExp(`^${name} Secret`) }).waitFor()
      await page.getByRole('link', { name: 'All resources' }).click()
    }
    const texts = await answers()
    expect(Object.keys(texts).filter((url) => url.includes('/api/resources/'))).toHaveLength(2)
    const shown = { ...texts, page: await page.content() }
    const hidden = [TOKEN, HIDDEN_TITLE, `${PLANTED}literal`, ...stage.connect.secrets]
    expect(leaksIn(shown, hidden)).toEqual([])
  })
})
