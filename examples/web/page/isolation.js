// For servers that cannot send the headers. Adds COOP and COEP to responses, so that the browser isolates the page,
// which shared memory requires.
addEventListener('install', () => skipWaiting());
addEventListener('activate', (event) => event.waitUntil(clients.claim()));

// The page under both of its addresses, and its workers, which must be as isolated as the page. Other pages in this
// folder may show images of other servers, which COEP forbids.
const files = ['', 'index.html', 'pictures-worker.js', 'mirnet/worker.js'];
const paths = new Set(files.map((file) => new URL(file, registration.scope).pathname));

async function isolated(request) {
  const response = await fetch(request);
  if (response.status === 0) return response;  // a redirection, which the browser follows itself
  const headers = new Headers(response.headers);
  headers.set('Cross-Origin-Opener-Policy', 'same-origin');
  headers.set('Cross-Origin-Embedder-Policy', 'require-corp');
  return new Response(response.body, {status: response.status, statusText: response.statusText, headers});
}

addEventListener('fetch', (event) => {
  const {origin, pathname} = new URL(event.request.url);
  if (origin === location.origin && paths.has(pathname)) event.respondWith(isolated(event.request));
});
