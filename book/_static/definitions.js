// Shows a term's definition beside its link: on hover, on focus from the keyboard, and on the first tap of a finger.
"use strict";

(() => {
  const DELAY_MS = 150;
  const GAP = 6;
  let card, shownFor, timer;

  function show(link) {
    clearTimeout(timer);
    const text = document.getElementById(link.dataset.definition);
    if (!text || shownFor === link) return;
    hide();
    card = document.createElement("div");
    card.className = "definition";
    // The link is described by the text itself, so a screen reader need not hear of the card.
    card.setAttribute("aria-hidden", "true");
    card.textContent = text.textContent;
    // The pointer may move into the card, to read or to select.
    card.addEventListener("pointerenter", () => clearTimeout(timer));
    card.addEventListener("pointerleave", hideSoon);
    document.body.append(card);
    shownFor = link;
    place(link);
  }

  function place(link) {
    // A link may break over two lines: its first box is where the word begins.
    const line = link.getClientRects()[0];
    const room = document.documentElement.clientWidth - card.offsetWidth - GAP;
    card.style.left = `${Math.max(GAP, Math.min(line.left, room)) + window.scrollX}px`;
    const below = line.bottom + GAP;
    const fits = below + card.offsetHeight < window.innerHeight || line.top < card.offsetHeight + GAP;
    card.style.top = `${(fits ? below : line.top - card.offsetHeight - GAP) + window.scrollY}px`;
  }

  function hide() {
    clearTimeout(timer);
    card?.remove();
    card = shownFor = undefined;
  }

  function hideSoon() {
    clearTimeout(timer);
    timer = setTimeout(hide, DELAY_MS);
  }

  function listen(link) {
    link.addEventListener("pointerenter", event => {
      if (event.pointerType === "touch") return;
      clearTimeout(timer);
      timer = setTimeout(() => show(link), DELAY_MS);
    });
    link.addEventListener("pointerleave", event => event.pointerType === "touch" || hideSoon());
    link.addEventListener("focus", () => link.matches(":focus-visible") && show(link));
    link.addEventListener("blur", hide);
    link.addEventListener("click", event => {
      // The first tap shows the definition, the second follows the link. The keyboard's click has no pointer.
      if (event.pointerType === "touch" && shownFor !== link) {
        event.preventDefault();
        show(link);
      }
    });
  }

  document.querySelectorAll("a[data-definition]").forEach(listen);
  document.addEventListener("keydown", event => event.key === "Escape" && hide());
  document.addEventListener("pointerdown", event => {
    if (card && !card.contains(event.target) && !shownFor.contains(event.target)) hide();
  });
  window.addEventListener("resize", hide);
})();
