import { useEffect, useState } from 'preact/hooks'

/** Where in the page somebody is. */
export type Route =
  | { readonly kind: 'list' }
  | { readonly kind: 'resource'; readonly namespace: string; readonly name: string }

/** The route in the fragment of an address. */
export function routeOf(hash: string): Route {
  const [, namespace, name] = /^#\/resources\/([^/]+)\/([^/]+)$/.exec(hash) ?? []
  if (namespace === undefined || name === undefined) return { kind: 'list' }
  return { kind: 'resource', namespace, name }
}

/** The fragment of a resource. Names of Kubernetes need no escapes. */
export function hashOf({ namespace, name }: { namespace: string; name: string }): string {
  return `#/resources/${namespace}/${name}`
}

/** The present route. */
export function useRoute(): Route {
  const [route, setRoute] = useState(() => routeOf(location.hash))
  useEffect(() => {
    const follow = () => setRoute(routeOf(location.hash))
    addEventListener('hashchange', follow)
    return () => removeEventListener('hashchange', follow)
  }, [])
  return route
}
