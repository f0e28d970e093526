/**
 * Loads a classic script. Module scripts do not load from `file://`, nor does `fetch`; a script element does.
 */

/** Resolves once the script has run; rejects with `sentence` if it does not arrive. */
export function loadScript(url, sentence) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = url;
    script.onload = resolve;
    script.onerror = () => reject(new Error(sentence));
    document.head.append(script);
  });
}
