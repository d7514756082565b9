// Both bundles have this: change it, save, and ask for /greeting, or look at the page.
export function greeting(from: string): string {
  return `Hello from ${from}`;
}
