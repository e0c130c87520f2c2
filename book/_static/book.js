// Draw the page's plotly figures when they come near, with one copy of plotly, in the colours of the theme.
(() => {
  const here = document.currentScript.src;
  let plotly; // a promise of the script

  const load = () =>
    (plotly ??= new Promise((resolve, reject) => {
      const script = document.createElement("script");
      Object.assign(script, { src: new URL("plotly/plotly-cartesian.min.js", here), onload: resolve, onerror: reject });
      document.head.append(script);
    }));

  const themed = () => ({ "font.color": getComputedStyle(document.body).color });

  // plotly's menus are pictures, which no keyboard reaches: the page has real ones in their place.
  const addMenu = (box, target, menu, title) => {
    const label = document.createElement("label");
    label.className = "hldm-menu";
    const select = document.createElement("select");
    select.setAttribute("aria-label", `${menu.name ?? "Show"}: ${title}`);
    select.append(...menu.buttons.map((button) => new Option(button.label)));
    select.addEventListener("change", () => {
      const { method, args } = menu.buttons[select.selectedIndex];
      Plotly[method](target, ...args);
    });
    label.append(`${menu.name ?? "Show"} `, select);
    box.before(label);
  };

  const draw = async (box) => {
    const { data, layout } = JSON.parse(box.querySelector("script").textContent);
    await load();
    const target = box.appendChild(document.createElement("div"));
    target.style.height = "100%";
    for (const menu of layout.updatemenus ?? []) addMenu(box, target, menu, layout.title?.text ?? "");
    delete layout.updatemenus;
    // A finger on a figure scrolls the page; only a mouse zooms.
    const dragmode = matchMedia("(pointer: coarse)").matches ? false : "zoom";
    const options = { responsive: true, displayModeBar: false };
    await Plotly.newPlot(target, data, { ...layout, autosize: true, dragmode }, options);
    await Plotly.relayout(target, themed());
  };

  // Whatever is wider than its box scrolls inside it, with the arrow keys, too.
  const reach = () => {
    const boxes = ".cell_output, .pst-scrollable-table-container, div.math mjx-container, span.math";
    for (const box of document.querySelectorAll(boxes)) {
      const scrolls = box.scrollWidth > box.clientWidth + 10; // a formula may stand out by a pixel
      if (scrolls) box.tabIndex = 0;
      else box.removeAttribute("tabindex");
    }
  };

  // Names that the theme gives to controls, where they are not the words that one sees on them.
  const rename = () => {
    for (const control of document.querySelectorAll("summary[aria-label], .search-button-field"))
      control.removeAttribute("aria-label");
    // Font Awesome makes drawings of the icons, with titles, sooner or later than this.
    for (const icon of document.querySelectorAll(".theme-switch-button [title]")) icon.removeAttribute("title");
    for (const drawing of document.querySelectorAll(".theme-switch-button svg[aria-labelledby]")) {
      drawing.querySelector("title")?.remove();
      for (const name of ["aria-labelledby", "role"]) drawing.removeAttribute(name);
      drawing.setAttribute("aria-hidden", "true");
    }
  };

  const start = () => {
    rename();
    for (const button of document.querySelectorAll(".theme-switch-button"))
      new MutationObserver(rename).observe(button, { childList: true, subtree: true });
    const boxes = [...document.querySelectorAll(".hldm-plotly")];
    const watch = new IntersectionObserver(
      (seen) => {
        for (const { isIntersecting, target } of seen)
          if (isIntersecting) {
            watch.unobserve(target);
            draw(target);
          }
      },
      { rootMargin: "800px" },
    );
    boxes.forEach((box) => watch.observe(box));
    addEventListener("beforeprint", () => boxes.filter((box) => !box.querySelector(".js-plotly-plot")).forEach(draw));
    new ResizeObserver(reach).observe(document.body); // and when formulas are set, which changes its height
  };

  // The theme changes this attribute when a reader switches between light and dark.
  new MutationObserver(() => {
    for (const plot of document.querySelectorAll(".hldm-plotly .js-plotly-plot")) Plotly.relayout(plot, themed());
  }).observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", start);
  else start();
})();
