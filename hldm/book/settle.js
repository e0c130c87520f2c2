// Waits until a page has loaded what it loads by itself.
const done = arguments[arguments.length - 1];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
(async () => {
  while (document.readyState !== "complete") await pause(50);
  await window.MathJax?.startup?.promise;
  const count = () => performance.getEntriesByType("resource").length;
  for (let before = -1; before !== count(); await pause(300)) before = count();
})().finally(done);
