// Draw the page's plotly figures with one copy of plotly, in the colours of the theme.
(() => {
  const here = document.currentScript.src;

  const themed = () => ({ "font.color": getComputedStyle(document.body).color });

  const draw = (box) => {
    const { data, layout } = JSON.parse(box.querySelector("script").textContent);
    const target = box.appendChild(document.createElement("div"));
    target.style.height = "100%";
    // A finger on a figure scrolls the page; only a mouse zooms.
    const dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
    const options = { responsive: true, displayModeBar: false };
    return Plotly.newPlot(target, data, { ...layout, autosize: true, dragmode }, options).then(() =>
      Plotly.relayout(target, themed()),
    );
  };

  // Widgets ask for MathJax as it was in version 2.
  const translateForWidgets = () => {
    if (window.MathJax) MathJax.Hub = { Queue: ([, , element]) => MathJax.typesetPromise([element]) };
  };

  const start = () => {
    translateForWidgets();
    const boxes = [...document.querySelectorAll(".hldm-plotly")];
    if (!boxes.length) return;
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", here);
    script.onload = () => boxes.forEach(draw);
    document.head.append(script);
  };

  // The theme changes this attribute when a reader switches between light and dark.
  new MutationObserver(() => {
    for (const plot of document.querySelectorAll(".hldm-plotly .js-plotly-plot")) Plotly.relayout(plot, themed());
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
