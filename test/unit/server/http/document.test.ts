import { expect, test } from 'vitest'
import { allowedMethods, servedDocument } from '../../../../src/server/http/document.ts'

test('the paths of the API are under /v1, those about the server at the root', () => {
  const { paths } = servedDocument() as { paths: object }
  const urls = Object.keys(paths)
  expect(urls).toContain('/v1/vaults/{vaultUuid}/items/{itemUuid}/files/{fileUuid}/content')
  expect(urls.filter((url) => !url.startsWith('/v1/')).toSorted()).toEqual([
    '/health',
    '/heartbeat',
    '/metrics',
  ])
})

test.each([
  ['/v1/vaults', ['GET', 'HEAD']],
  ['/v1/vaults/?filter=x', ['GET', 'HEAD']],
  ['//v1//vaults', ['GET', 'HEAD']],
  ['/v1/vaults/a/items', ['GET', 'POST', 'HEAD']],
  ['/v1/vaults/a/items/b', ['GET', 'PUT', 'PATCH', 'DELETE', 'HEAD']],
  ['/v1/nothing', []],
  ['/v1/health', []],
])('the path %s allows %j', (url, methods) => {
  expect(allowedMethods(url)).toEqual(methods)
})
