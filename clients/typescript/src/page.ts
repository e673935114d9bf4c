/** The document of the page: where there is none, in a worker or in Node, `undefined`. */
export function page(): Document | undefined {
  return (globalThis as { document?: Document }).document;
}
