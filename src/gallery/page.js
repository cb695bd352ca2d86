"use strict";
(() => {
  const cards = [...document.querySelectorAll("li")];
  const list = document.querySelector("ol");
  const box = document.querySelector("input");
  const count = document.querySelector("output");
  let shown = cards;
  let current = null; // its recipe is shown
  let pinned = null;  // comes back when the pointer leaves the pictures
  document.documentElement.classList.add("js");
  box.hidden = false;

  function show(card) {
    if (current === card) return;
    if (current) current.classList.remove("on");
    if (card) card.classList.add("on");
    current = card;
  }

  // What a card says: all its words, and its fields by name. Read when the first filter needs it.
  const said = new Map();
  function read(card) {
    let entry = said.get(card);
    if (entry) return entry;
    const fields = new Map();
    for (const line of card.querySelector("pre").textContent.split("\n")) {
      const tab = line.indexOf("\t");
      if (tab > 0) fields.set(line.slice(0, tab).replaceAll(" ", "_"), line.slice(tab + 1).toLowerCase());
    }
    entry = { text: card.querySelector(".r").textContent.toLowerCase(), fields };
    said.set(card, entry);
    return entry;
  }

  // "seed:5" asks for the field, where the picture has one of that name; all else is looked for everywhere.
  function holds(entry, term) {
    const colon = term.indexOf(":");
    const field = colon > 0 ? entry.fields.get(term.slice(0, colon)) : undefined;
    if (field === undefined) return entry.text.includes(term);
    const wanted = term.slice(colon + 1);
    return field === wanted || (wanted !== "" && Number(field) === Number(wanted));
  }

  function filter() {
    const terms = (box.value.toLowerCase().match(/(?:[^\s"]|"[^"]*"?)+/g) || [])
      .map((term) => term.replaceAll('"', "")).filter((term) => term !== "");
    shown = [];
    for (const card of cards) {
      card.hidden = terms.length > 0 && !terms.every((term) => holds(read(card), term));
      if (!card.hidden) shown.push(card);
    }
    const all = cards.length === 1 ? "1 picture" : cards.length + " pictures";
    count.textContent = terms.length === 0 ? all : shown.length + " of " + all;
    if (pinned && pinned.hidden) pinned = null;
    if (current && current.hidden) show(pinned);
  }

  const cardOf = (event) => (event.target.closest ? event.target.closest("li") : null);
  // A page that scrolls under a pointer at rest, as it does for the keyboard, is not pointed at.
  let place = "";
  list.addEventListener("pointermove", (event) => {
    const card = cardOf(event);
    const now = event.clientX + " " + event.clientY;
    if (event.pointerType !== "touch" && card && now !== place) show(card);
    place = now;
  });
  list.addEventListener("pointerleave", () => { if (pinned) show(pinned); });
  list.addEventListener("focusin", (event) => { pinned = cardOf(event); show(pinned); });
  // A finger has nothing to point with: its first touch shows the recipe, the second opens the picture.
  let before = null;
  list.addEventListener("pointerdown", () => { before = current; }, true);
  list.addEventListener("click", (event) => {
    const card = cardOf(event);
    if (!card || !event.target.closest("a")) return;
    if (event.pointerType === "touch" && before !== card) event.preventDefault();
    pinned = card;
    show(card);
  });

  function columns() {
    const top = shown[0].offsetTop;
    const next = shown.findIndex((card) => card.offsetTop !== top);
    return next < 0 ? shown.length : next;
  }
  function goal(key, at) {
    if (key === "ArrowRight") return at + 1;
    if (key === "ArrowLeft") return at - 1;
    if (key === "ArrowDown") return at + columns();
    if (key === "ArrowUp") return at - columns();
    if (key === "Home") return 0;
    return key === "End" ? shown.length - 1 : -1;
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.key === "/" && document.activeElement !== box) {
      event.preventDefault();
      box.focus();
    } else if (event.key === "Escape") {
      if (document.activeElement === box) { box.value = ""; filter(); }
      pinned = null;
      show(null);
    } else if (document.activeElement.matches("li a")) {
      const next = shown[goal(event.key, shown.indexOf(document.activeElement.closest("li")))];
      if (!next) return;
      event.preventDefault();
      next.querySelector("a").focus();
    }
  });

  box.addEventListener("input", filter);
  filter();
})();
