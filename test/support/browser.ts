/**
 * A real browser for tests, pages of it that tell what goes wrong, and what axe-core thinks of them.
 */
import axe, { type AxeResults } from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import { findChromium } from './chromium.ts'

/** Starts a browser; whoever starts it closes it. */
export async function startBrowser(): Promise<Browser> {
  // Of root's processes Chromium makes no sandbox, and containers have little shared memory.
  const args = ['--no-sandbox', '--disable-dev-shm-usage']
  return chromium.launch({ executablePath: await findChromium(), args })
}

/** A page, and what went wrong in it or left it. */
export interface WatchedPage extends AsyncDisposable {
  readonly page: Page
  /** Texts of all answers so far, by address; of a stream as far as it has come. */
  answers(): Promise<Readonly<Record<string, string>>>
  /** Errors of scripts, violations of the Content-Security-Policy, requests to other origins. */
  readonly faults: readonly string[]
}

/** An empty page that is to stay on `origin`, on which everything that goes wrong is noted. */
export async function openPage(
  browser: Browser,
  origin: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext(options)
  const page = await context.newPage()
  const faults: string[] = []
  const texts: [string, Promise<string>][] = []
  page.on('pageerror', ({ message }) => faults.push(`error: ${message}`))
  page.on('console', (message) => {
    // Of requests that fail the browser tells by itself; tests break the connection on purpose.
    const isNetwork = message.text().startsWith('Failed to load resource')
    if (message.type() === 'error' && !isNetwork) faults.push(`console: ${message.text()}`)
  })
  page.on('request', (request) => {
    if (new URL(request.url()).origin !== origin) faults.push(`left: ${request.url()}`)
  })
  page.on('response', (response) => {
    // The text of a stream comes at its end, which is that of the page.
    if (response.url().endsWith('/api/events')) return
    texts.push([response.url(), response.text().catch(() => '')])
  })
  // Told by the browser itself, also for what the console does not show.
  await page.addInitScript(
    "addEventListener('securitypolicyviolation', (event) =>" +
      " console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))",
  )
  return {
    page,
    faults,
    async answers() {
      const read = texts.map(async ([url, text]) => [url, await text] as const)
      return Object.fromEntries(await Promise.all(read))
    },
    [Symbol.asyncDispose]: () => context.close(),
  }
}

/** What axe-core finds of serious and critical impact, as text. */
export async function barriersOn(page: Page): Promise<string[]> {
  // As an expression: the page's policy allows no script from elsewhere.
  await page.evaluate(axe.source)
  const { violations } = await page.evaluate<AxeResults>('axe.run(document)')
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${help}: ${html} ${failureSummary}`),
    )
}
