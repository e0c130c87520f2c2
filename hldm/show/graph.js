(root) => {
  // Choose a node of the knowledge graph, in the picture or in the menu, and see its neighbours and all facts about it.
  const figure = root.querySelector(".hldm-graph");
  const { nodes, facts, sources, start } = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
  const [svg, menu, panel] = ["svg", "select", ".hldm-facts"].map((selector) => figure.querySelector(selector));
  const names = svg.querySelector(".hldm-names");
  const [, , width, height] = svg.getAttribute("viewBox").split(" ").map(Number);
  let chosen = start;

  const html = (tag, text = "", attributes = {}) => {
    const element = Object.assign(document.createElement(tag), attributes);
    element.append(text);
    return element;
  };
  const drawn = (tag, attributes, text = "") => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    element.textContent = text;
    return names.appendChild(element);
  };
  const short = (text) => (text.length > 24 ? `${text.slice(0, 23)}…` : text);

  // Names left and right of the rings, each at the height of its node or as near as the others leave room.
  const write = (wanted, side) => {
    const rows = wanted.sort((a, b) => nodes[a].y - nodes[b].y);
    const step = Math.min(17, (height - 20) / rows.length);
    const heights = rows.map((i) => nodes[i].y);
    heights.forEach((y, k) => { heights[k] = Math.max(y, k ? heights[k - 1] + step : 12); });
    for (let k = rows.length - 1, top = height - 10; k >= 0; k--, top = heights[k + 1] - step)
      heights[k] = Math.min(heights[k], top);
    rows.forEach((i, k) => {
      const [x, edge] = side ? [width - 172, width - 184] : [172, 184];
      drawn("polyline", { points: `${nodes[i].x},${nodes[i].y} ${edge},${heights[k]} ${x},${heights[k]}` });
      const name = drawn("text", { x: side ? x + 3 : x - 3, y: heights[k], "text-anchor": side ? "start" : "end" }, short(nodes[i].name));
      name.style.fontSize = `${Math.min(12, step * 0.85)}px`;
      name.dataset.node = i;
    });
  };

  const fact = (about) => {
    const row = document.createElement("tr");
    const says = html("td");
    const end = (i) => {
      if (i === chosen) return html("b", nodes[i].name);
      const button = html("button", nodes[i].name, { type: "button" });
      button.addEventListener("click", () => choose(i));
      return button;
    };
    says.append(end(about.from), ` ${about.says} `, end(about.to));
    if (about.more) says.append(html("small", ` (${about.more})`));
    row.append(says, html("td", `${about.source.split(";").join(", ")}: ${about.status}`));
    return row;
  };

  const describe = () => {
    const node = nodes[chosen];
    const ours = [...facts.filter((about) => about.from === chosen), ...facts.filter((about) => about.to === chosen)];
    const keys = [...new Set(ours.flatMap((about) => about.source.split(";").map((key) => key.trim())))];
    const head = html("p", html("b", node.name));
    head.append(` (${node.kind}): ${ours.length} facts. ${node.about} ${node.codes ? `Codes: ${node.codes}.` : ""}`);
    const box = html("div", "", { className: "hldm-scroll", tabIndex: 0 });
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", `Facts about ${node.name}`);
    const table = html("table");
    table.append(...ours.map(fact));
    box.append(table);
    const list = html("details", html("summary", "What the sources are called"));
    for (const key of keys) list.append(html("p", `${key}: ${sources[key] ?? "?"}`));
    panel.replaceChildren(head, box, list);
  };

  const choose = (i) => {
    chosen = i;
    menu.value = String(i);
    const near = new Set([i]);
    for (const { from, to } of facts) if (from === i || to === i) near.add(from).add(to);
    for (const line of svg.querySelectorAll("line"))
      line.classList.toggle("hldm-on", line.dataset.ends.split(" ").includes(String(i)));
    for (const dot of svg.querySelectorAll("g[data-node]")) {
      dot.classList.toggle("hldm-on", near.has(Number(dot.dataset.node)));
      dot.classList.toggle("hldm-chosen", dot.dataset.node === String(i));
    }
    names.replaceChildren();
    const wide = svg.clientWidth > 560;
    // A phone shows the rings alone: the list below them has the names.
    svg.setAttribute("viewBox", wide ? `0 0 ${width} ${height}` : `${width / 2 - 200} ${height / 2 - 200} 400 400`);
    const ring = [...near].filter((j) => nodes[j].group);
    if (wide) for (const side of [false, true]) write(ring.filter((j) => nodes[j].x >= width / 2 === side), side);
    describe();
  };

  svg.addEventListener("click", (event) => {
    const target = event.target.closest("[data-node]");
    if (target) choose(Number(target.dataset.node));
  });
  menu.addEventListener("change", () => choose(Number(menu.value)));
  new ResizeObserver(() => {
    if (svg.clientWidth > 560 !== svg.getAttribute("viewBox").startsWith("0 ")) choose(chosen);
  }).observe(svg);
  choose(start);
}
