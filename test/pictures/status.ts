/**
 * Takes the pictures of the status page for the docs: an operator works on a real API server, and a
 * browser looks.
 *
 *   npm run pictures
 */
import { adminRest, applyCrd, clusterOf, hasReason, isReady } from '../support/cluster.ts'
import { openPage, startBrowser } from '../support/browser.ts'
import { startControlPlane } from '../support/control-plane/start.ts'
import { startOperator } from '../support/operator.ts'
import { startScriptedConnect } from '../support/scripted-connect.ts'
import { tell } from '../support/skip.ts'
import { aDeployment } from '../support/stage.ts'

const FOLDER = 'docs/images'
const VIEWPORT = { width: 1_200, height: 640 }
/** Items, by the namespaces that draw from them. */
const ITEMS = {
  shop: ['database', 'payments', 'mail', 'session-key'],
  bank: ['ledger', 'database', 'audit'],
} as const

await using resources = new AsyncDisposableStack()
tell('starting a control plane, Connect, the operator and a browser')
const plane = await startControlPlane({ controllers: false })
resources.defer(() => plane.stop())
await applyCrd(plane.kubeconfig)
const rest = adminRest(plane.kubeconfig)
resources.defer(() => rest.close())
const connect = await startScriptedConnect()
resources.defer(() => connect.close())
const vault = connect.vault('Production')
const fields = [
  { label: 'username', value: 'app' },
  { label: 'password', value: 'x' },
]
for (const [namespace, names] of Object.entries(ITEMS)) {
  const cluster = clusterOf(rest, namespace)
  await cluster.create('namespaces', { metadata: { name: namespace } })
  for (const name of names) {
    connect.add(vault, { title: `${namespace} ${name}`, fields })
    const itemPath = `vaults/Production/items/${namespace} ${name}`
    await cluster.create('items', { metadata: { name }, spec: { itemPath } })
  }
}
const shop = clusterOf(rest, 'shop')
const url = 'op://Production/shop database/username'
const options = connect.add(vault, { title: 'options', fields: [{ label: 'pool', value: '9' }] })
await shop.patch('items', 'database', {
  spec: { data: { DATABASE_USER: url, POOL: 'op://Production/options/pool' } },
})
const itemPath = 'vaults/Production/items/shop search'
await shop.create('items', { metadata: { name: 'search' }, spec: { itemPath } })
const optIn = { 'operator.1password.io/auto-restart': 'true' }
for (const name of ['api', 'web', 'worker']) {
  await shop.create('deployments', aDeployment(name, ['database'], name === 'worker' ? {} : optIn))
}
const operator = await startOperator({
  kubeconfig: plane.kubeconfig,
  connect: connect.url,
  namespace: 'shop',
  env: { WATCH_NAMESPACE: 'shop,bank', LEADER_ELECTION: 'true', POLLING_INTERVAL: '2' },
})
resources.defer(async () => void (await operator.stop()))
await shop.until('items', 'database', isReady)
await shop.until('items', 'search', hasReason('ItemNotFound'))
connect.set(options, 'pool', '10')

const browser = await startBrowser()
resources.defer(() => browser.close())
await using opened = await openPage(browser, operator.page, { viewport: VIEWPORT })
const { page } = opened
await page.goto(`${operator.page}/#/resources/shop/database`)
await page.locator('.history').getByText('Restarted Deployment/web').waitFor()
await page.screenshot({ path: `${FOLDER}/status-resource.png`, fullPage: true })
await page.getByRole('link', { name: 'All resources' }).click()
await page.getByRole('link', { name: 'search' }).waitFor()
await page.screenshot({ path: `${FOLDER}/status-table.png` })
tell(`${FOLDER}/status-table.png and status-resource.png are written`)
