// What the Tab key reaches in the text of a page.
window.hldmKeys = (() => {
  const KINDS = {
    sound: "audio[controls]", menu: "select", slider: 'input[type="range"]', fact: ".hldm-facts button", button: "button",
    field: "input, textarea", link: "a[href]", "scrolling box": '[tabindex="0"]', fold: "summary",
  };
  const main = document.querySelector("main article") ?? document.querySelector("main") ?? document.body;
  const seen = new Set();
  let wanted = [];
  const kind = (element) => Object.keys(KINDS).find((name) => element.matches(KINDS[name]));
  const note = (event) => seen.add(event.target);
  return {
    start() {
      const all = [...main.querySelectorAll(Object.values(KINDS).join())];
      wanted = all.filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.matches(":disabled") && e.tabIndex !== -1);
      document.addEventListener("focusin", note, true);
      main.tabIndex = -1;
      main.focus();
      return wanted.length;
    },
    reached: () => wanted.filter((element) => seen.has(element)).map(kind),
    end() {
      document.removeEventListener("focusin", note, true);
      const counts = {};
      for (const element of wanted) {
        const count = (counts[kind(element)] ??= [0, 0]);
        count[0] += seen.has(element);
        count[1] += 1;
      }
      const missed = wanted.filter((element) => !seen.has(element));
      return [counts, missed.map((element) => element.outerHTML.slice(0, 120))];
    },
  };
})();
