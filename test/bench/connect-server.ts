/**
 * A Connect server in a process of its own: `node connect-server.ts ITEMS VAULTS LATENCY_MS`. Prints
 * its address; what it can be told on standard input, `ConnectCommand` says.
 */
import { createInterface } from 'node:readline'
import { startScriptedConnect } from '../support/scripted-connect.ts'

const [items = 0, vaults = 1, latencyMs = 0] = process.argv.slice(2).map(Number)
const connect = await startScriptedConnect()
const vaultIds = Array.from({ length: vaults }, (_, n) => connect.vault(`Vault ${n}`))
const ids: string[] = []
for (let n = 0; n < items; n += 1) {
  const fields = [
    { label: 'username', value: `user-${n}` },
    { label: 'password', value: `password-${n}` },
    { label: 'hostname', value: 'db.example' },
  ]
  ids.push(connect.add(vaultIds[n % vaults] ?? '', { title: `Item ${n}`, fields }))
}
connect.latencyMs = latencyMs
/** When the first poll after the last change came. */
let polled: number | undefined = 0
/** Milliseconds that answers about a vault take; negative: they fail. */
const slow = new Map<string, number>()
connect.intercept = async ({ url = '' }, response) => {
  if (/^\/v1\/vaults(\?|$)/.test(url)) polled ??= Date.now()
  const [vault] = /(?<=^\/v1\/vaults\/)\w+/.exec(url) ?? ['']
  const ms = slow.get(vault)
  if (ms === undefined) return false
  if (ms >= 0) {
    await new Promise((resolve) => setTimeout(resolve, ms))
    return false
  }
  response.writeHead(503, { 'content-type': 'application/json' })
  response.end('{"status":503,"message":"no"}')
  return true
}

function obey(line: string): string {
  const [command, first = '', second = ''] = line.split(' ')
  switch (command) {
    case 'change':
      polled = undefined
      for (const id of first === 'all' ? ids : [ids[Number(first)] ?? '']) {
        connect.set(id, 'password', `new-${Math.random()}`)
      }
      return 'ok'
    case 'slow':
      slow.set(vaultIds[Number(first)] ?? '', Number(second))
      return 'ok'
    case 'polled':
      return String(polled ?? '')
    default:
      throw new Error(`what is ${line}?`)
  }
}

console.log(connect.url)
for await (const line of createInterface({ input: process.stdin })) console.log(obey(line))
await connect.close()
