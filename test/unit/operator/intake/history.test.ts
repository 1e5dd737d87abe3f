import { expect, test } from 'vitest'
import { createHistory } from '../../../../src/operator/intake/history.ts'
import type { SecretMeta } from '../../../../src/operator/plan/types.ts'
import { createVirtualClock } from '../../../support/virtual-clock.ts'

const KEY = 'shop/database'
const NAME = 'database'
const MINUTE = 60_000
const AT = { generation: 1, finalizer: false }

let versions = 0

/** A Secret in a version that was not seen before. */
function aSecret(itemVersion: string | undefined, digest = true, name = NAME): SecretMeta {
  versions += 1
  return {
    namespace: 'shop',
    name,
    uid: 'secret-uid',
    resourceVersion: String(versions),
    labels: {},
    annotations: {
      ...(itemVersion ? { 'operator.1password.io/item-version': itemVersion } : {}),
      ...(digest ? { 'keyferry.dev/digest': 'x' } : {}),
    },
    ownerReferences: [],
    finalizers: [],
    deleting: false,
  }
}

function aHistory() {
  const clock = createVirtualClock()
  const history = createHistory(clock)
  const saw = (secret: SecretMeta) => history.sawSecret(KEY, secret, undefined)
  const wrote = (version: string) => {
    history.writesSecret(KEY, NAME, version)
    history.wroteSecret(KEY)
  }
  return { clock, history, saw, wrote, met: () => history.incumbentAt(KEY, AT) }
}

test('a finalizer that is met for the first time is no sign that its operator is running', () => {
  const { history } = aHistory()
  expect(history.incumbentAt(KEY, { ...AT, finalizer: true })).toBeUndefined()
})

test('a finalizer that returns within ten minutes is a sign, for as long as it is there', async () => {
  const { clock, history, met } = aHistory()
  history.tookFinalizer(KEY)
  expect(met()).toBeUndefined()
  expect(history.incumbentAt(KEY, { ...AT, finalizer: true })).toBe('met')
  await clock.advance(10 * MINUTE)
  expect(history.incumbentAt(KEY, { ...AT, finalizer: true })).toBeUndefined()
})

test('a Secret that is rewritten twice within ten minutes is a sign', async () => {
  const { clock, saw, wrote, met } = aHistory()
  wrote('3')
  saw(aSecret('4'))
  expect(met()).toBeUndefined()
  await clock.advance(9 * MINUTE)
  wrote('4')
  saw(aSecret('4', false))
  expect(met()).toBe('met')
  await clock.advance(2 * MINUTE)
  expect(met()).toBeUndefined()
})

test('one version of a Secret counts once, however often it is read', () => {
  const { saw, wrote, met } = aHistory()
  wrote('3')
  const secret = aSecret('4')
  saw(secret)
  saw(secret)
  expect(met()).toBeUndefined()
})

test('who edits a rewritten Secret does not rewrite it again', () => {
  const { saw, wrote, met } = aHistory()
  wrote('3')
  // The second has what the first had: a write of a process that was killed, and somebody's edit.
  for (const version of ['4', '4']) saw(aSecret(version))
  expect(met()).toBeUndefined()
  saw(aSecret('5'))
  expect(met()).toBe('met')
})

test('other edits are no sign, nor is anything before the first write', () => {
  const { saw, wrote, met } = aHistory()
  for (const version of ['1', '2', '3']) saw(aSecret(version, false))
  wrote('3')
  for (let edit = 0; edit < 3; edit += 1) saw(aSecret('3'))
  for (let edit = 0; edit < 3; edit += 1) saw(aSecret(undefined, false))
  expect(met()).toBeUndefined()
})

test('before this process has written itself, what the status says was written counts', () => {
  const { history, met } = aHistory()
  for (const version of ['4', '5']) history.sawSecret(KEY, aSecret(version), '3')
  expect(met()).toBe('met')
})

test('a write whose answer or status was lost is no work of another', () => {
  const { history, wrote, met } = aHistory()
  wrote('3')
  history.writesSecret(KEY, NAME, '4')
  // It took effect, and the status never told; or it did not.
  for (const version of ['4', '4', '3', '3']) history.sawSecret(KEY, aSecret(version), '2')
  expect(met()).toBeUndefined()
  for (const version of ['5', '6']) history.sawSecret(KEY, aSecret(version), '2')
  expect(met()).toBe('met')
})

test('before the first write took effect, what is on the Secret is no sign', () => {
  const { history, saw, met } = aHistory()
  history.writesSecret(KEY, NAME, '3')
  for (const version of ['3', '2', '3']) saw(aSecret(version, false))
  expect(met()).toBeUndefined()
})

test('what another process wrote and told counts as ours', () => {
  const { history, wrote, met } = aHistory()
  wrote('3')
  for (let edit = 0; edit < 3; edit += 1) history.sawSecret(KEY, aSecret('4'), '4')
  expect(met()).toBeUndefined()
})

test('of a Secret that is asked for since, what was on another says nothing', () => {
  const { history, saw, wrote, met } = aHistory()
  wrote('3')
  // Both have been there for long.
  for (const name of ['former', 'database', 'former']) saw(aSecret('1', true, name))
  expect(met()).toBeUndefined()
  wrote('3')
  saw(aSecret('4'))
  history.writesSecret(KEY, 'other', '3')
  history.wroteSecret(KEY)
  saw(aSecret('4', true, 'other'))
  expect(met()).toBe('met')
})

test('it counts as told for the generation for which it was told', () => {
  const { history } = aHistory()
  history.tookFinalizer(KEY)
  const at = { generation: 1, finalizer: true }
  history.toldOfIncumbent(KEY, 1)
  expect(history.incumbentAt(KEY, at)).toBe('told')
  expect(history.incumbentAt(KEY, { ...at, generation: 2 })).toBe('met')
})

test('found on a workload, it counts for the Secret for two minutes', async () => {
  const { clock, history, met } = aHistory()
  history.foundIncumbent(KEY)
  expect(met()).toBe('met')
  await clock.advance(2 * MINUTE)
  expect(met()).toBeUndefined()
})
