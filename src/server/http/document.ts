import document from '../openapi.json' with { type: 'json' }

/** Methods and paths of the document, as requests see them. */
interface Served {
  readonly method: string
  readonly path: RegExp
}

const BASE = '/v1'

/** The document with full paths: the API's under /v1, those about the server itself at the root. */
export function servedDocument(): object {
  const paths = Object.entries(document.paths).map(([path, item]) => [prefix(path, item), item])
  return { ...document, paths: Object.fromEntries(paths) }
}

function prefix(path: string, item: object): string {
  return 'servers' in item ? path : BASE + path
}

const served: readonly Served[] = Object.entries(document.paths).flatMap(([path, item]) => {
  const pattern = prefix(path, item).replaceAll(/\{\w+\}/g, '[^/]+')
  return Object.keys(item)
    .filter((method) => method !== 'servers')
    .map((method) => ({ method: method.toUpperCase(), path: new RegExp(`^${pattern}$`) }))
})

/** The methods that a path allows; none: the path is unknown. @param url may have a query */
export function allowedMethods(url: string): string[] {
  const [path = ''] = url.split('?')
  const plain = path.replaceAll(/\/{2,}/g, '/').replace(/(.)\/$/, '$1')
  const methods = served.filter((entry) => entry.path.test(plain)).map(({ method }) => method)
  return methods.includes('GET') ? [...methods, 'HEAD'] : methods
}
