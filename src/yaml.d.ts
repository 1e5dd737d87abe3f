/** The bundler gives the text of such a file. */
declare module '*.yaml' {
  const text: string
  // oxlint-disable-next-line import/no-default-export
  export default text
}
