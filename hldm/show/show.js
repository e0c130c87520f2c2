(root) => {
  // Cursor over the spectrogram, a click in it to jump there, and the version for small speakers.
  for (const figure of root.querySelectorAll(".hldm-player")) {
    const audio = figure.querySelector("audio");
    const image = figure.querySelector(".hldm-image");
    const cursor = image.querySelector("i");
    const move = () => {
      cursor.style.left = `${(100 * audio.currentTime) / (audio.duration || 1)}%`;
      if (!audio.paused) requestAnimationFrame(move);
    };
    for (const event of ["play", "seeked", "ended"]) audio.addEventListener(event, move);
    image.addEventListener("click", (event) => {
      const box = image.getBoundingClientRect();
      audio.currentTime = ((event.clientX - box.left) / box.width) * audio.duration;
    });
    const small = figure.querySelector("input[data-src]");
    small?.addEventListener("change", () => {
      const { currentTime, paused, src } = audio;
      audio.src = small.dataset.src;
      small.dataset.src = src;
      audio.addEventListener("loadedmetadata", () => {
        audio.currentTime = currentTime;
        if (!paused) audio.play();
      }, { once: true });
    });
  }
  // One sound at a time.
  root.addEventListener("play", (event) => {
    for (const other of document.querySelectorAll(".hldm-player audio")) if (other !== event.target) other.pause();
  }, true);
  // Choose, and see and hear what was computed for that choice.
  for (const chooser of root.querySelectorAll(".hldm-choices")) {
    const controls = [...chooser.querySelectorAll(".hldm-controls :is(select, input[type='range'])")];
    const panels = [...chooser.querySelectorAll(".hldm-panel")];
    const update = () => {
      const key = JSON.stringify(controls.map((control) => control.value));
      const playing = panels.map((panel) => panel.querySelector("audio")).find((audio) => audio && !audio.paused);
      const at = playing?.currentTime;
      for (const panel of panels) {
        panel.hidden = panel.dataset.key !== key;
        if (panel.hidden) for (const audio of panel.querySelectorAll("audio")) audio.pause();
      }
      // On a slider one goes on listening at the same moment of the next sound.
      const slider = controls.find((control) => control.type === "range");
      if (!slider) return;
      const name = JSON.parse(slider.dataset.names)[slider.value];
      slider.setAttribute("aria-valuetext", name);
      chooser.querySelector("output").textContent = name;
      const next = panels.find((panel) => !panel.hidden)?.querySelector("audio");
      if (at === undefined || !next) return;
      next.currentTime = at;
      next.play().catch(() => {}); // whoever moves on before it has begun interrupts it
    };
    for (const control of controls) control.addEventListener(control.type === "range" ? "input" : "change", update);
    update();
  }
}
