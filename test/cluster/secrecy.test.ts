/**
 * Values show in Secrets and nowhere else, whatever goes wrong. Every stage is looked through like
 * this at its end; here everything that could quote a value happens.
 */
import { spawn } from 'node:child_process'
import { beforeAll, expect, test } from 'vitest'
import { isReady } from '../support/cluster.ts'
import { eventually } from '../support/eventually.ts'
import { leaksIn, PLANTED, shownBy } from '../support/leaks.ts'
import { type OperatorProcess, TOKEN } from '../support/operator.ts'
import { untilValue } from '../support/restarts.ts'
import { json } from '../support/scripted-connect.ts'
import { setStage, type Stage } from '../support/stage.ts'

const VALUE = `${PLANTED}value "with\nall" that must be escaped ä`
const EXPIRY = '1893456000'

let stage: Stage
let operator: OperatorProcess

beforeAll(async () => {
  stage = await setStage()
  operator = await stage.operator({ LOG_LEVEL: 'trace' })
  return stage.close
})

const add = (title: string, value = VALUE) =>
  stage.connect.add(stage.vault, { title, fields: [{ label: 'password', value }] })

async function expectNoLeak(): Promise<void> {
  expect(leaksIn(await stage.outputs(), [VALUE, TOKEN, ...stage.connect.secrets])).toEqual([])
}

test('a Secret that is written, edited by somebody and put right shows its value to nobody else', async () => {
  const { cluster } = stage
  add('quiet')
  await stage.item('quiet', 'quiet')
  await untilValue(cluster, 'quiet', VALUE)
  await cluster.patch('secrets', 'quiet', { stringData: { password: `${PLANTED}edit` } })
  await untilValue(cluster, 'quiet', VALUE)
  await eventually(
    'the repair is counted',
    async () => (await operator.metrics()).includes('keyferry_repairs_total 1') || undefined,
  )
  await expectNoLeak()
})

test('values that do not fit are told by the name of their key', async () => {
  const { cluster, connect, vault } = stage
  add('unfit')
  connect.add(vault, { title: 'docker', fields: [{ label: '.dockerconfigjson', value: VALUE }] })
  await stage.item('unfit-json', 'docker', { type: 'kubernetes.io/dockerconfigjson' })
  await stage.item('unfit-type', 'unfit', { type: 'kubernetes.io/dockerconfigjson' })
  await stage.item('unfit-tls', 'unfit', { type: 'kubernetes.io/tls' })
  await stage.item('unfit-pipe', 'unfit', {
    spec: { data: { key: '{{ op://Production/unfit/password | base64decode }}' } },
  })
  await stage.item('unfit-keys', 'unfit', { spec: { requiredKeys: ['other'] } })
  await stage.item('unfit-label', 'unfit', {
    spec: { secretMetadata: { labels: { a: 'no label!' } } },
  })
  for (const name of [
    'unfit-json',
    'unfit-type',
    'unfit-tls',
    'unfit-pipe',
    'unfit-keys',
    'unfit-label',
  ]) {
    await cluster.until('items', name, ({ status }) =>
      status.conditions.some(
        (one: { type: string; status: string }) => one.type === 'Ready' && one.status === 'False',
      ),
    )
  }
  await expectNoLeak()
})

test('answers that are cut, malformed or repeat the token are not quoted', async () => {
  const { connect, vault } = stage
  const answers: ((id: string) => unknown)[] = [
    (id) => `{"id": "${id}", "fields": [{"value": "${PLANTED}cut`,
    (id) => ({ id, fields: `${PLANTED}instead of a list` }),
    (id) => ({ id, version: `${PLANTED}no number`, vault: { id: vault } }),
  ]
  const bad = new Map(answers.map((answer, n) => [add(`answer-${n}`), answer]))
  const asked = new Set<string>()
  connect.intercept = (request, response) => {
    const id = request.url?.split('/').at(-1) ?? ''
    const answer = bad.get(id)?.(id)
    if (answer === undefined) return false
    asked.add(id)
    if (typeof answer === 'string') response.writeHead(200).end(answer)
    else json(response, 200, answer)
    return true
  }
  for (const n of answers.keys()) await stage.item(`answer-${n}`, `answer-${n}`)
  await eventually('each was given', async () => asked.size === bad.size)
  await eventually('each is told', async () => {
    const text = await operator.metrics()
    const runs = /^keyferry_runs_total\{result="\w+",reason="ConnectBadAnswer"\} (\d+)/m.exec(text)
    return Number(runs?.[1] ?? 0) >= bad.size
  })
  connect.intercept = (_request, response) => {
    json(response, 401, { status: 401, message: `no such token: ${TOKEN}` })
    return true
  }
  await eventually(
    'the refusal is logged',
    async () => (await operator.logs()).includes('no such token: [redacted]') || undefined,
  )
  await expectNoLeak()
  connect.intercept = undefined
})

test('the date on which an item expires is told, and only in the form that is promised', async () => {
  await using other = await setStage()
  const { cluster, connect, vault } = other
  const fields = [
    { label: 'password', value: VALUE },
    { label: 'expires', type: 'DATE', value: EXPIRY },
  ]
  connect.add(vault, { title: 'dated', fields })
  const teller = await other.operator()
  await other.item('dated', 'dated')
  const { status } = await cluster.until('items', 'dated', isReady)
  expect(status.items).toMatchObject([{ expires: '2030-01-01T00:00:00Z' }])
  const line = `keyferry_item_expiry_timestamp_seconds{resource_namespace="${cluster.namespace}",resource="dated"} ${EXPIRY}`
  expect((await teller.metrics()).split('\n')).toContain(line)
  connect.secrets.delete(EXPIRY)
})

test('a value that does show is found, in each of its forms', async () => {
  const forms = {
    raw: VALUE,
    json: JSON.stringify({ VALUE }),
    twice: JSON.stringify(JSON.stringify({ VALUE })),
    base64: Buffer.from(VALUE).toString('base64'),
    hex: Buffer.from(VALUE).toString('hex'),
    url: `/x?y=${encodeURIComponent(VALUE)}`,
    bytes: JSON.stringify([...Buffer.from(VALUE)]),
  }
  expect(leaksIn(forms, [VALUE])).toHaveLength(Object.keys(forms).length)
  // Not only its common beginning.
  const other = VALUE.slice(1)
  const later = Object.entries(forms).filter(([form]) => form !== 'base64')
  expect(leaksIn(Object.fromEntries(later), [other])).toHaveLength(later.length)
  const { cluster } = stage
  await cluster.create('secrets', { metadata: { name: 'fine' }, stringData: { key: VALUE } })
  await expectNoLeak()
  await cluster.create('secrets', { metadata: { name: 'bad', annotations: { note: VALUE } } })
  const found = leaksIn(await stage.outputs(), [VALUE])
  expect(found).toEqual([`secrets ${cluster.namespace}/bad shows "${PLANTED}"`])
  await cluster.delete('secrets', 'bad')
})

test('a value that a process shows to others is found, too', async () => {
  const wait = 'process.stdin.resume()'
  const child = spawn(process.execPath, ['-e', wait, VALUE], {
    env: { NOTE: VALUE, OP_CONNECT_TOKEN: TOKEN },
    stdio: ['pipe', 'ignore', 'ignore'],
  })
  const shown = await eventually('it has begun', async () => {
    const all = await shownBy(child.pid ?? 0)
    return all.command.includes(wait) && { ...all }
  })
  expect(leaksIn(shown, [VALUE])).toHaveLength(2)
  // Who hands the token over so means to.
  expect(shown.environment).not.toContain(TOKEN)
  child.kill()
})
