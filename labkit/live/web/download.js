/** How much of what a page loads has arrived. */

const EVERY_MS = 100;

/**
 * A `fetch` that tells, now and then and at each file's end, how many bytes of all its answers have arrived.
 *
 * They are counted as `fetch` gives them, which is how the build has measured the files.
 */
export function counting(fetch, tell, now = () => performance.now()) {
  let received = 0;
  let told = Number.NEGATIVE_INFINITY;
  const count = (bytes, isLast) => {
    received += bytes;
    if (!isLast && now() - told < EVERY_MS) return;
    told = now();
    tell(received);
  };
  return async (...request) => {
    const response = await fetch(...request);
    if (!response.ok || !response.body) return response;
    const counter = new TransformStream({
      transform(chunk, controller) {
        count(chunk.byteLength, false);
        controller.enqueue(chunk);
      },
      flush: () => count(0, true),
    });
    const { status, statusText, headers } = response;
    return new Response(response.body.pipeThrough(counter), { status, statusText, headers });
  };
}

/**
 * A `fetch` that takes the addresses in `packed` gzipped, from the same address with `.gz`, and unpacks them.
 *
 * Where a browser cannot unpack, or the packed file is not there, the file itself is fetched.
 */
export function unpacking(fetch, packed) {
  return async (request, options) => {
    const isPlain = (options?.method ?? "GET") === "GET" && packed.includes(String(request));
    if (!isPlain || typeof DecompressionStream !== "function") return fetch(request, options);
    const response = await fetch(`${request}.gz`, options);
    if (!response.ok || !response.body) return fetch(request, options);
    const body = response.body.pipeThrough(new DecompressionStream("gzip"));
    return new Response(body, { headers: { "Content-Type": "application/wasm" } });
  };
}

/** What is said meanwhile: megabytes as far as they are known. */
export function loadingSentence({ received = 0, total = 0 } = {}) {
  const megabytes = (bytes) => (bytes / 1e6).toFixed(1);
  if (!total) return "Loading Python into your browser, once.";
  if (received >= total) return "Starting Python in your browser.";
  return `Loading Python into your browser: ${megabytes(received)} of ${megabytes(total)} MB, once.`;
}
