/**
 * A Connect server in a process of its own: `node connect-server.ts ITEMS VAULTS LATENCY_MS`. Prints
 * its address; `bump` on standard input changes items.
 */
import { createInterface } from 'node:readline'
import { startScriptedConnect } from '../support/scripted-connect.ts'

const [items = 0, vaults = 1, latencyMs = 0] = process.argv.slice(2).map(Number)
const connect = await startScriptedConnect()
const names = Array.from({ length: vaults }, (_, n) => connect.vault(`Vault ${n}`))
const ids: string[] = []
for (let n = 0; n < items; n += 1) {
  const fields = [
    { label: 'username', value: `user-${n}` },
    { label: 'password', value: `password-${n}` },
    { label: 'hostname', value: 'db.example' },
  ]
  ids.push(connect.add(names[n % vaults] ?? '', { title: `Item ${n}`, fields }))
}
connect.latencyMs = latencyMs
console.log(connect.url)
for await (const line of createInterface({ input: process.stdin })) {
  const [command, argument = ''] = line.split(' ')
  const chosen = argument === 'all' ? ids : [ids[Number(argument)] ?? '']
  if (command === 'bump')
    for (const id of chosen) connect.set(id, 'password', `new-${Math.random()}`)
  console.log(command === 'requests' ? String(connect.requests.length) : 'ok')
}
await connect.close()
