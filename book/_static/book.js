// Draw the page's plotly figures with one copy of plotly, in the colours of the theme.
(() => {
  const here = document.currentScript.src;

  const colours = () => {
    const style = getComputedStyle(document.body);
    return { text: style.color, grid: "rgba(128, 128, 128, 0.25)" };
  };

  const themed = () => {
    const { text } = colours();
    return { "font.color": text, "title.font.color": text };
  };

  const draw = (box) => {
    const { data, layout } = JSON.parse(box.querySelector("script").textContent);
    const target = box.appendChild(document.createElement("div"));
    target.style.height = "100%";
    const options = { responsive: true, displaylogo: false, displayModeBar: "hover" };
    return Plotly.newPlot(target, data, { ...layout, autosize: true }, options).then(() =>
      Plotly.relayout(target, themed()),
    );
  };

  const start = () => {
    const boxes = [...document.querySelectorAll(".hldm-plotly")];
    if (!boxes.length) return;
    const script = document.createElement("script");
    script.src = new URL("plotly.min.js", here);
    script.onload = () => Promise.all(boxes.map(draw)).then(() => { document.body.dataset.figures = "drawn"; });
    document.head.append(script);
  };

  // The theme changes this attribute when a reader switches between light and dark.
  new MutationObserver(() => {
    for (const plot of document.querySelectorAll(".hldm-plotly .js-plotly-plot")) Plotly.relayout(plot, themed());
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
