// Runs inside a page: waits until everything is drawn, then reports what a reader would miss.
// Arguments: the number of cell outputs expected (or null), how many seconds to wait for a thing to be drawn, whether to
// play the sounds, and the callback of the browser's driver.
const [expectedOutputs, patience, listen, done] = arguments;
const problems = [];
const all = (selector, root = document) => [...root.querySelectorAll(selector)];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const visible = (element) => element.getBoundingClientRect().height > 0;
const name = (element) => element.outerHTML.slice(0, 120).replace(/\s+/g, " ");

const until = async (condition, seconds = patience) => {
  for (const end = performance.now() + 1000 * seconds; performance.now() < end; await pause(50))
    if (condition()) return true;
  return Boolean(condition());
};

const checkOutputs = () => {
  const outputs = all(".cell_output");
  if (expectedOutputs !== null && outputs.length !== expectedOutputs)
    problems.push(`outputs: ${outputs.length} on the page, ${expectedOutputs} in the executed notebook`);
  for (const output of outputs) if (!visible(output)) problems.push(`output: invisible ${name(output)}`);
  for (const error of all(".cell_output .traceback")) problems.push(`output: a traceback ${name(error)}`);
};

const checkImages = async () => {
  for (const image of all("img")) {
    image.loading = "eager";
    await until(() => image.complete);
    if (!image.alt.trim()) problems.push(`image: no alternative text ${name(image)}`);
    if (!image.naturalWidth) problems.push(`image: not drawn ${name(image)}`);
  }
};

const checkFigures = async () => {
  for (const figure of all(".hldm-plotly")) {
    const label = figure.getAttribute("aria-label");
    if (!label?.trim()) problems.push("figure: no alternative text");
    figure.scrollIntoView({ block: "center", behavior: "instant" });
    if (!(await until(() => figure.querySelector(".main-svg .gtitle")))) {
      problems.push(`figure: not drawn, or without title: ${label}`);
      continue;
    }
    if (!figure.querySelector(".cartesianlayer .mlayer > *, .polarlayer .mlayer > *, .pielayer > *, .gl-container canvas"))
      problems.push(`figure: nothing in its axes: ${label}`);
    for (const axis of ["x", "y"])
      // Of several axes it is enough that one has a title: those above or beside it share it.
      if (figure.querySelector(`.${axis}axislayer-above .${axis}tick`) && !figure.querySelector(`[class^="${axis}"][class$="title"]`))
        problems.push(`figure: no title on the ${axis} axis: ${label}`);
  }
  for (const plot of all(".js-plotly-plot"))
    if (!plot.closest(".hldm-plotly")) problems.push("figure: drawn outside the book's renderer");
};

const checkWidgets = async () => {
  for (const view of all('script[type="application/vnd.jupyter.widget-view+json"]')) {
    const drawn = () => all(".jupyter-widgets, .widget-html", view.parentElement).some(visible);
    if (!(await until(drawn))) problems.push(`widget: not drawn ${view.textContent.trim().slice(0, 120)}`);
  }
};

const checkFormulas = async () => {
  const formulas = all(".math");
  for (const formula of formulas)
    if (!(await until(() => formula.querySelector("mjx-container"))))
      problems.push(`formula: not set ${formula.textContent.trim().slice(0, 80)}`);
  for (const error of all("mjx-merror, [data-mjx-error]"))
    problems.push(`formula: ${error.dataset.mjxError || error.textContent}`);
};

const checkSound = async (audio, label) => {
  const ready = await until(() => audio.readyState >= 2 || audio.error);
  if (audio.error || !ready) return problems.push(`sound: cannot be decoded (${audio.error?.message}): ${label}`);
  audio.muted = true;
  const refused = await audio.play().then(() => null, (error) => error);
  if (refused || !(await until(() => audio.currentTime > 0.02 || audio.ended)))
    problems.push(`sound: does not play (${refused}): ${label}`);
  audio.pause();
  audio.currentTime = 0;
};

const checkSounds = async () => {
  const sounds = [];
  for (const audio of all("audio")) {
    const label = audio.getAttribute("aria-label");
    if (!label?.trim()) problems.push(`sound: no label ${name(audio)}`);
    for (const src of [audio.getAttribute("src"), audio.dataset.small]) if (src) sounds.push([src, label]);
  }
  const play = ([src, label]) => checkSound(Object.assign(new Audio(src), { preload: "auto" }), label);
  while (sounds.length) await Promise.all(sounds.splice(0, 16).map(play)); // a browser plays no more than 75 at once
};

// Contrast of WCAG 2; text on figures must stand out from the page in either theme.
const luminance = ([r, g, b]) => {
  const [lr, lg, lb] = [r, g, b].map((v) => (v / 255 <= 0.04045 ? v / 3294.6 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * lr + 0.7152 * lg + 0.0722 * lb;
};
const rgb = (colour) => colour.match(/[\d.]+/g).slice(0, 3).map(Number);

// The first colour behind an element that is not transparent.
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = getComputedStyle(e).backgroundColor;
    if (colour !== "transparent" && !colour.endsWith(", 0)")) return rgb(colour);
  }
  return [255, 255, 255];
};

const checkContrast = () => {
  for (const text of all(".hldm-plotly .gtitle, .hldm-plotly .xtick text, .hldm-player figcaption, .hldm-show label")) {
    const style = getComputedStyle(text);
    const own = luminance(rgb(text instanceof SVGElement ? style.fill : style.color));
    const page = luminance(behind(text));
    const contrast = (Math.max(page, own) + 0.05) / (Math.min(page, own) + 0.05);
    if (contrast < 4.5) problems.push(`contrast: ${contrast.toFixed(1)} of “${text.textContent.trim()}”`);
  }
};

const checkWidth = () => {
  const { scrollWidth, clientWidth } = document.documentElement;
  if (scrollWidth <= clientWidth + 1) return;
  const wide = all("main *").find((e) => e.getBoundingClientRect().right > clientWidth + 1);
  problems.push(`width: ${scrollWidth} px in ${clientWidth}, from ${wide ? name(wide) : "outside the text"}`);
};

(async () => {
  await until(() => document.readyState === "complete", 30);
  await checkImages();
  await checkFigures();
  await checkWidgets();
  await checkFormulas();
  if (listen) await checkSounds();
  checkOutputs();
  checkContrast();
  checkWidth();
  scrollTo({ top: 0, behavior: "instant" });
})().then(() => done(problems), (error) => done([...problems, `check: ${error}`]));
