// Runs axe-core on a page; gives the name of each rule that was broken, its impact, and the elements.
const done = arguments[arguments.length - 1];
axe.run(document, { resultTypes: ["violations"], iframes: false }).then(
  ({ violations }) => done(violations.map(({ id, impact, nodes }) => [id, impact, nodes.map((node) => node.html)])),
  (error) => done([["axe itself", "critical", [String(error)]]]),
);
